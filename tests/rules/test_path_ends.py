"""From wherever somebody stands, the path goes on, waits, or ends: there is no place it cannot leave."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from dripdrop.rules import path
from dripdrop.rules.claim import Claim
from dripdrop.rules.definition import Condition, Cron, Delay, Immediate, OnEvent, Step, Transition, Version
from dripdrop.rules.endings import Ending, Setting, Standing
from dripdrop.rules.entering import THRESHOLD
from dripdrop.rules.onward import TIMED_OUT, Known, lead_on

NOW = datetime(2030, 3, 4, 12, tzinfo=UTC)
KEYS = ["a", "b", "c", "d"]
POLICIES = st.sampled_from(["continue", "complete", "pause", "cancel"])
CONDITIONS = st.sampled_from(
    [
        Condition("enrollment_data", "plan", "==", "pro"),
        Condition("hook", "score", ">", 5),
        Condition("predicate", "hook.score > 3 or seats > 2"),
        Condition("event", "signed_up"),
        Condition("predicate", "not ("),
        Condition("time_window", "", "==", None, {"window": {"days": ["mon"]}}),
    ]
)


@st.composite
def versions(draw: st.DrawFn) -> Version:
    targets = [None, *KEYS]
    timings = [
        Immediate(), Delay(1, "days"), Cron("0 9 * * 1"), OnEvent("paid"),
        OnEvent("paid", {}, Delay(2, "days"), draw(st.sampled_from([None, *KEYS, "gone"]))),
    ]  # fmt: skip
    steps = tuple(
        Step(
            UUID(int=place + 1), key, key, "email", draw(st.sampled_from([place, None])),
            draw(st.sampled_from(timings)), {}, active=draw(st.booleans()),
            config={"on_no_match": draw(POLICIES), "repeat": draw(st.sampled_from([False, True, 2]))},
        )
        for place, key in enumerate(KEYS)
    )  # fmt: skip
    ways = tuple(
        Transition(
            draw(st.sampled_from(targets)), draw(st.sampled_from([*targets, "gone"])),
            draw(st.sampled_from(["always", "all", "any"])), tuple(draw(st.lists(CONDITIONS, max_size=2))),
            draw(st.integers(0, 3)),
        )
        for _ in range(draw(st.integers(0, 8)))
    )  # fmt: skip
    config = {"on_no_match": draw(POLICIES)}
    return Version(uuid4(), uuid4(), "s", "S", "", 1, "active", "lifecycle", steps, ways, config)


def at(version: Version, step: Step, kind: str = "path") -> Claim:
    owner = step.id if step is not THRESHOLD else None
    return Claim(
        uuid4(), "", uuid4(), owner, 1, kind, "sending", NOW, 1, 1, 0, 0, None, "active", version.sequence_id,
        version.id, "user", "1", 1, {"plan": "pro"}, True, True, NOW, version, step,
    )  # fmt: skip


@given(
    versions(), st.sampled_from([*KEYS, ""]), st.sampled_from(["sent", "skipped", TIMED_OUT, "asked"]), st.booleans()
)
def test_a_visit_that_ended_always_leads_on(version: Version, key: str, how: str, paused: bool) -> None:
    step = version.step(key) or THRESHOLD
    asked = how == "asked" or step is THRESHOLD
    ending = Ending("skipped" if how == TIMED_OUT else how, TIMED_OUT if how == TIMED_OUT else None, how)
    standing = Standing("paused" if paused else "active", {"plan": "pro", "seats": 9})
    lead_on(
        at(version, step, "advance" if asked else "path"), ending, standing, NOW, Setting(),
        Known({}, {"score": "broken"}) if asked else None,
    )  # fmt: skip
    goes_on = ending.next_as is not None
    if goes_on:
        assert ending.enrollment_state is None
        # Whatever it became, it has a moment of its own, unless only an event can end the wait.
        assert ending.next_due_at is not None or ending.next_as == "waiting"
        assert ending.next_as != "advance" or not asked
    else:
        assert paused or ending.enrollment_state in ("completed", "cancelled", "paused")
    assert ending.reasons


@given(versions())
def test_a_broken_hook_never_holds_and_what_asks_nothing_is_asked_nothing(version: Version) -> None:
    for key in (None, *KEYS):
        step = version.step(key) if key else None
        found = path.questions(version, step).ways
        own = [each for way in version.transitions if way.origin == key for each in way.conditions]
        assert set(found.hooks) >= {"score" for each in own if "score" in each.subject}
        assert found.any >= bool(own)
        assert path.questions(version, step) is path.questions(version, step)
