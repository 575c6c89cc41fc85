"""Again, when, or ask first: every outcome against every counter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.rules import retry
from dripdrop.rules.outcome import Accepted, Askable, CannotTell, Idempotent, Neither, NotFound, Rejected, Unknown

NOON = datetime(2030, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def verdict(outcome: Any, **changed: Any) -> retry.Verdict:
    facts: dict[str, Any] = {
        "retries": 0,
        "refusals": 0,
        "attempt": 1,
        "max_retries": 3,
        "on_unknown": "hold",
        "on_doubt": Neither(),
        "first_sent_at": NOON,
        "now": NOON,
        "seed": "018f",
    }
    return retry.next_step(outcome, **{**facts, **changed})


def test_what_the_provider_took_goes_on() -> None:
    assert verdict(Accepted("id-1")) == retry.Advance()


def test_a_temporary_refusal_is_tried_again_and_spends_a_retry() -> None:
    again = verdict(Rejected("temporary"))
    assert isinstance(again, retry.RetryAt)
    assert again.spends
    assert timedelta(seconds=24) <= again.when - NOON <= timedelta(seconds=36)


@pytest.mark.parametrize(("retries", "sends_again"), [(0, True), (2, True), (3, False), (4, False)])
def test_three_retries_mean_four_sends(retries: int, sends_again: bool) -> None:
    got = verdict(Rejected("temporary"), retries=retries)
    assert isinstance(got, retry.RetryAt) is sends_again
    if not sends_again:
        assert got == retry.GiveUp("exhausted", "retries_exhausted")


def test_no_retries_mean_one_send() -> None:
    assert verdict(Rejected("temporary"), max_retries=0) == retry.GiveUp("exhausted", "retries_exhausted")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Rejected("permanent", "message"), retry.GiveUp("failure", "message")),
        (Rejected("permanent", "recipient"), retry.GiveUp("failure", "recipient")),
        (Rejected("permanent", "policy"), retry.GiveUp("failure", "policy")),
        (Rejected("bounced", "recipient"), retry.GiveUp("failure", "bounced", suppress="bounce")),
        (Rejected("permanent", "opted_out"), retry.GiveUp("failure", "opted_out", suppress="unsubscribe")),
        (Rejected("bounced", "opted_out"), retry.GiveUp("failure", "opted_out", suppress="unsubscribe")),
    ],
)
def test_a_final_refusal_ends_it_and_only_bounces_and_opt_outs_suppress(
    outcome: Rejected, expected: retry.GiveUp
) -> None:
    assert verdict(outcome) == expected


@pytest.mark.parametrize("cause", ["throttled", "adapter"])
@pytest.mark.parametrize("kind", ["temporary", "permanent"])
def test_what_is_not_the_messages_fault_spends_no_retry(kind: Any, cause: Any) -> None:
    got = verdict(Rejected(kind, cause), retries=3, refusals=9)
    assert isinstance(got, retry.RetryAt)
    assert not got.spends
    assert got.when - NOON <= timedelta(minutes=36)


def test_patience_with_an_adapter_ends_three_days_after_the_first_attempt() -> None:
    started = NOON - timedelta(days=3)
    assert verdict(Rejected("temporary", "throttled"), first_sent_at=started) == retry.GiveUp("exhausted", "throttled")
    assert isinstance(verdict(Rejected("temporary", "throttled"), first_sent_at=started + HORIZON_SLACK), retry.RetryAt)


HORIZON_SLACK = timedelta(minutes=5)


@pytest.mark.parametrize("asked", [1.0, 45.0, 3600.0, 86400.0])
def test_retry_after_is_never_undercut(asked: float) -> None:
    got = verdict(Rejected("temporary", retry_after=asked))
    assert isinstance(got, retry.RetryAt)
    assert got.when >= NOON + timedelta(seconds=asked)
    assert got.when <= NOON + timedelta(seconds=max(asked + 300, 36))


@pytest.mark.parametrize("asked", [1e12, float("inf")])
def test_an_absurd_retry_after_is_cut_to_a_day(asked: float) -> None:
    got = verdict(Rejected("temporary", retry_after=asked))
    assert isinstance(got, retry.RetryAt)
    assert timedelta(days=1) <= got.when - NOON <= timedelta(days=1, minutes=5)


@pytest.mark.parametrize("asked", [float("nan"), -5.0, 0.0])
def test_a_senseless_retry_after_is_as_good_as_none(asked: float) -> None:
    assert verdict(Rejected("temporary", retry_after=asked)) == verdict(Rejected("temporary"))


def test_a_doubt_within_the_window_is_sent_again_under_the_same_key() -> None:
    got = verdict(Unknown(), on_doubt=Idempotent(timedelta(hours=24)))
    assert isinstance(got, retry.ResendSameKey)
    assert timedelta(seconds=24) <= got.when - NOON <= timedelta(seconds=36)


@pytest.mark.parametrize(("policy", "expected"), [("hold", retry.Hold), ("resend", retry.ResendSameKey)])
def test_outside_the_window_the_step_decides(policy: str, expected: type) -> None:
    got = verdict(Unknown(), on_doubt=Idempotent(HOUR), first_sent_at=NOON - HOUR, on_unknown=policy, max_retries=3)
    assert isinstance(got, expected)


def test_a_resend_never_leaves_when_the_window_is_about_to_close() -> None:
    window = Idempotent(HOUR)
    late = verdict(Unknown(), on_doubt=window, first_sent_at=NOON - HOUR + timedelta(seconds=50))
    assert late == retry.Hold("unknown")


def test_the_window_counts_from_the_first_use_of_the_present_key() -> None:
    facts = {"on_doubt": Idempotent(HOUR), "first_sent_at": NOON - 5 * HOUR}
    assert verdict(Unknown(), **facts) == retry.Hold("unknown")
    assert isinstance(verdict(Unknown(), **facts, key_sent_at=NOON), retry.ResendSameKey)


def test_who_can_be_asked_is_asked() -> None:
    assert verdict(Unknown(), on_doubt=Askable(after=timedelta(seconds=30))) == retry.Ask(NOON + timedelta(seconds=30))


def test_changed_content_never_goes_out_whatever_the_provider_can_do() -> None:
    doubt = Unknown({"reason": "content_changed"})
    for on_doubt in (Idempotent(), Askable(), Neither()):
        assert verdict(doubt, on_doubt=on_doubt, on_unknown="resend") == retry.Hold("content_changed")


def test_resending_on_a_doubt_is_not_endless() -> None:
    assert isinstance(verdict(Unknown(), on_unknown="resend", attempt=3), retry.ResendSameKey)
    assert verdict(Unknown(), on_unknown="resend", attempt=4) == retry.Hold("still_unknown")
    assert isinstance(verdict(Unknown(), on_unknown="resend", attempt=9, refusals=8), retry.ResendSameKey)


def asked(found: Any, now: datetime, on_unknown: Any = "hold") -> retry.Verdict:
    return retry.after_asking(
        found,
        on_doubt=Askable(after=timedelta(seconds=30), give_up=HOUR),
        on_unknown=on_unknown,
        attempt=1,
        refusals=0,
        doubted_at=NOON,
        now=now,
        seed="018f",
    )


@pytest.mark.parametrize("found", [NotFound(), CannotTell()])
def test_not_found_is_asked_until_the_end_and_then_the_step_decides(found: Any) -> None:
    now, times = NOON + timedelta(seconds=30), 0
    while isinstance(got := asked(found, now), retry.Ask):
        assert now < got.when <= NOON + HOUR
        now, times = got.when, times + 1
    assert now == NOON + HOUR
    assert 3 <= times <= 10
    assert got == retry.Hold("unknown")
    assert isinstance(asked(found, now, "resend"), retry.ResendSameKey)


def test_found_means_sent() -> None:
    assert asked(Accepted("id"), NOON) == retry.Advance()


def test_the_default_patience_is_about_a_day() -> None:
    waits = [retry.backoff(n, seed="x").total_seconds() for n in range(retry.DEFAULT_RETRIES)]
    assert 20 * 3600 < sum(waits) < 29 * 3600


@given(st.integers(-3, 10_000), st.text(max_size=40))
def test_backoff_keeps_within_a_fifth_and_is_the_same_every_time(retries: int, seed: str) -> None:
    plain = min(30.0 * 2 ** min(max(retries, 0), 20), 4 * 3600)
    wait = retry.backoff(retries, seed=seed).total_seconds()
    assert plain * 0.799 <= wait <= plain * 1.201
    assert retry.backoff(retries, seed=seed).total_seconds() == wait


def test_a_crowd_spreads_out() -> None:
    assert len({retry.backoff(0, seed=str(n)) for n in range(100)}) == 100


rejections = st.builds(
    Rejected,
    st.sampled_from(["temporary", "permanent", "bounced"]),
    st.sampled_from(["message", "recipient", "opted_out", "adapter", "policy", "throttled"]),
    st.one_of(st.none(), st.floats()),
)
doubts = st.one_of(
    st.builds(Idempotent, st.timedeltas(timedelta(0), timedelta(days=9))),
    st.builds(Askable),
    st.just(Neither()),
)


@given(
    st.one_of(st.just(Accepted()), rejections, st.just(Unknown())),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(1, 60),
    st.integers(0, 20),
    st.sampled_from(["hold", "resend"]),
    doubts,
    st.one_of(st.none(), st.timedeltas(timedelta(0), timedelta(days=30))),
)
def test_every_answer_is_safe(
    outcome: Any, retries: int, refusals: int, attempt: int, most: int, on_unknown: Any, on_doubt: Any, ago: Any
) -> None:
    got = verdict(
        outcome,
        retries=retries,
        refusals=refusals,
        attempt=attempt,
        max_retries=most,
        on_unknown=on_unknown,
        on_doubt=on_doubt,
        first_sent_at=None if ago is None else NOON - ago,
    )
    if isinstance(got, (retry.RetryAt, retry.Ask, retry.ResendSameKey)):
        assert NOON < got.when <= NOON + timedelta(days=1, minutes=5)
    if isinstance(outcome, Unknown):
        assert not isinstance(got, (retry.RetryAt, retry.Advance, retry.GiveUp))
        if on_unknown == "hold" and isinstance(on_doubt, Neither):
            assert isinstance(got, retry.Hold)
    if isinstance(outcome, Rejected):
        assert isinstance(got, (retry.RetryAt, retry.GiveUp))
        if isinstance(got, retry.RetryAt) and got.spends:
            assert retries < most
