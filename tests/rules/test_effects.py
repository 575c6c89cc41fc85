"""What a provider's word changes, in whatever order and however often it is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.rules import effects, humans
from dripdrop.rules.effects import FORWARD, Standing
from dripdrop.rules.feedback import Feedback, Status

STATUSES = get_args(Status)
events = st.lists(st.sampled_from(STATUSES), max_size=12)


@given(events, st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_same_status(told: list[str], chance: object) -> None:
    again = [*told, *told]
    chance.shuffle(again)  # type: ignore[attr-defined]
    assert effects.status(again) == effects.status(told)


@given(events, st.sampled_from(STATUSES))
def test_one_more_event_never_moves_a_status_back(told: list[str], more: str) -> None:
    before, after = effects.status(told), effects.status([*told, more])
    assert before is None or FORWARD.index(after) >= FORWARD.index(before)  # type: ignore[arg-type]


def test_every_order_of_a_message_that_arrived_and_was_complained_of() -> None:
    for order in permutations(("accepted", "sent", "delivered", "opened", "complained")):
        assert effects.status(order) == "complained"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (Feedback("bounced", severity="permanent"), "bounce"),
        (Feedback("bounced", severity="temporary"), None),
        (Feedback("bounced"), None),
        (Feedback("blocked", severity="permanent"), None),
        (Feedback("deferred"), None),
        (Feedback("rejected"), None),
        (Feedback("failed", severity="permanent"), None),
        (Feedback("complained"), "complaint"),
        (Feedback("unsubscribed"), "unsubscribe"),
        (Feedback("resubscribed"), None),
    ],
)
def test_only_what_speaks_against_the_address_suppresses(told: Feedback, reason: str | None) -> None:
    assert effects.suppression(told) == reason


def test_an_enrollment_ends_by_what_concerns_it() -> None:
    complained, bounced = Feedback("complained"), Feedback("bounced", severity="permanent")
    assert effects.ends(complained, Standing(live=True, only=False))
    assert not effects.ends(complained, Standing(live=True, transactional=True))
    assert not effects.ends(complained, Standing(live=False))
    assert effects.ends(bounced, Standing(live=True, transactional=True, only=True))
    assert not effects.ends(bounced, Standing(live=True, only=False)), "its other channels go on"
    assert not effects.ends(Feedback("unsubscribed", topic="news"), Standing(live=True)), "one list is not everything"
    assert not effects.ends(complained, Standing(live=True), ends_on=())


def test_only_what_the_provider_had_settles_a_doubt() -> None:
    assert {each for each in STATUSES if not effects.proves(Feedback(each))} == {"rejected", "failed", "resubscribed"}


@pytest.mark.parametrize(
    ("configured", "does"),
    [(None, "continue"), ("pause", "pause"), ("pause_enrollment", "pause"), ("end", "end"), ("dance", "continue")],
)
def test_a_reply_does_what_its_step_says(configured: str | None, does: str) -> None:
    assert effects.behavior(configured) == does


ARRIVED = datetime(2030, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "agent", "said", "machine"),
    [
        (3600, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)", None, False),
        (3600, "Mozilla/5.0 (Windows NT 5.1) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", None, False),
        (3600, "Mozilla/5.0", None, True),
        (3600, "Googlebot/2.1", None, True),
        (3600, "python-requests/2.31", None, True),
        (1, "Thunderbird/115", None, True),
        (1, "Thunderbird/115", False, False),
        (3600, None, True, True),
        (3600, None, None, False),
    ],
)
def test_a_person_or_a_machine(seconds: int, agent: str | None, said: bool | None, machine: bool) -> None:
    at = ARRIVED + timedelta(seconds=seconds)
    told = Feedback("opened", occurred_at=at, user_agent=agent, machine=said)
    found = humans.verdict(told, delivered_at=ARRIVED)
    assert found.machine is machine
    assert found.why or not machine, "a machine is never said without evidence"


def test_a_time_that_a_provider_tells_without_its_zone_is_no_evidence() -> None:
    told = Feedback("opened", occurred_at=ARRIVED.replace(tzinfo=None))
    assert humans.verdict(told, delivered_at=ARRIVED) == humans.Verdict(False)
