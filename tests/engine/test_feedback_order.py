"""Whatever order a provider tells things in, in whatever portions and however often: it ends the same."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.engine.telling import Telling, signed
from tests.world import KEY, NOON

from dripdrop import DripDrop
from dripdrop.testing import FrozenClock

BEFORE = datetime.fromisoformat(NOON).replace(tzinfo=UTC) - timedelta(hours=1)
KINDS = (
    ("accepted", None), ("sent", None), ("deferred", "temporary"), ("delivered", None), ("bounced", "permanent"),
    ("bounced", "temporary"), ("blocked", None), ("failed", None), ("rejected", None), ("complained", None),
    ("unsubscribed", None), ("resubscribed", None), ("opened", None), ("clicked", None),
)  # fmt: skip
LEFT, BACK, DEAD, SPAM = ("unsubscribed", None), ("resubscribed", None), ("bounced", "permanent"), ("complained", None)
STEPS = {name: {"channel": "email", "subject": name, "text": "x", "timing": at} for name, at in
         (("hello", "immediately"), ("later", "in 3 days"))}  # fmt: skip

# A story (what happens, minute by minute), and how it is told: whose turn it is, and whether a new call begins there.
stories = st.lists(st.sampled_from(KINDS), min_size=1, max_size=6)
tellings = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=10)


class Shop:
    """Sends a welcome to one person after another, and hears of it."""

    def __init__(self, url: str) -> None:
        clock = FrozenClock(NOON)
        self.drip = DripDrop(url, plugins=[Telling()], clock=clock, config={"encryption_key": KEY})
        self.adapter = self.drip.adapters.create("main", channel="email", provider="telling", is_default=True).id
        self.drip.sequences.apply({"sequence": "welcome", "name": "Welcome", "steps": STEPS})
        self.people = count()

    def told(self, story: list[tuple[str, str | None]], calls: list[list[int]]) -> dict[str, Any]:
        """How a new person stands after these calls, each of which tells some of the story."""
        who = f"person{next(self.people)}@example.org"
        enrollment = self.drip.enroll("welcome", subscriber=("user", who), data={"email": who}).id
        self.drip.run_due()
        (sent,) = self.drip.executions.list(enrollment=enrollment, state="sent")
        for call in calls:
            self._post([_event(sent.id, who, nth, *story[nth]) for nth in call])
            self.drip.run_due()
        found = self.drip.executions.get(sent.id)
        suppressed = self.drip.suppressions.check("email", who)
        return {
            "status": found.delivery_status,
            "events": Counter(each.event_type for each in found.events),
            "suppressed": suppressed and suppressed.reason,
            "enrollment": self.drip.enrollments.get(enrollment).state,
        }

    def _post(self, events: list[dict[str, Any]]) -> None:
        request = signed(*events)
        assert self.drip.webhooks.receive("telling", self.adapter, **request).status == 200


def _event(execution: UUID, who: str, nth: int, kind: str, severity: str | None) -> dict[str, Any]:
    at = (BEFORE + timedelta(minutes=nth)).isoformat()
    return {"id": f"{execution}-{nth}", "type": kind, "ours": str(execution), "to": who, "severity": severity, "at": at}


def _calls(story: list[Any], told: list[tuple[int, bool]]) -> list[list[int]]:
    """The story in the order it is told, some of it twice, and at the end whatever was not told yet."""
    calls: list[list[int]] = [[]]
    for turn, again in told:
        if again and calls[-1]:
            calls.append([])
        calls[-1].append(turn % len(story))
    missing = [nth for nth in reversed(range(len(story))) if not any(nth in call for call in calls)]
    return [call for call in [*calls, missing] if call]


def test_any_order_any_portions_and_any_repetition_end_in_the_same_state(database_url: str) -> None:
    shop = Shop(database_url)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(stories, tellings)
    @example([LEFT, BACK, LEFT], [(2, True), (1, True), (0, True)])
    @example([LEFT, BACK, LEFT], [(2, False), (1, False), (0, False)])
    @example([LEFT, BACK], [(1, True), (0, True)])
    @example([LEFT, BACK, DEAD], [(2, True), (1, True), (0, True)])
    @example([SPAM, LEFT, BACK], [(2, True), (1, True), (0, True)])
    @example([BACK, LEFT], [(1, False), (0, False)])
    def ends_the_same(story: list[tuple[str, str | None]], told: list[tuple[int, bool]]) -> None:
        in_order = shop.told(story, [[nth] for nth in range(len(story))])
        assert shop.told(story, _calls(story, told)) == in_order

    ends_the_same()
    shop.drip.close()
