"""Whoever wants to hear is told, and nobody is hurt by it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dripdrop.errors import Invalid
from dripdrop.rules.redaction import redact
from dripdrop.telemetry import EVENTS, Event, Telemetry, log_listener
from effort import calls

SENT = "dripdrop.dispatch.sent"


@pytest.fixture
def bus() -> Telemetry:
    return Telemetry(redact, strict=True)


@pytest.fixture
def heard() -> list[Event]:
    return []


def test_a_listener_hears_the_names_it_asked_for(bus: Telemetry, heard: list[Event]) -> None:
    bus.listen(heard.append, SENT)
    bus.emit(SENT, None, {"channel": "email"})
    bus.emit("dripdrop.dispatch.skipped")
    assert heard == [Event(SENT, {"count": 1}, {"channel": "email"})]


def test_a_star_asks_for_all_that_begin_so_and_no_name_for_everything(bus: Telemetry) -> None:
    policy: list[Event] = []
    everything: list[Event] = []
    bus.listen(policy.append, "dripdrop.policy.*")
    bus.listen(everything.append)
    for name in ("dripdrop.policy.suppressed", SENT, "dripdrop.policy.sub_cap.budget_conflict"):
        bus.emit(name)
    assert [event.name for event in policy] == ["dripdrop.policy.suppressed", "dripdrop.policy.sub_cap.budget_conflict"]
    assert len(everything) == 3


def test_the_prefix_may_be_left_out(bus: Telemetry, heard: list[Event]) -> None:
    bus.listen(heard.append, "dispatch.*")
    bus.emit("dispatch.sent")
    assert [event.name for event in heard] == [SENT]


def test_who_stopped_listening_hears_no_more(bus: Telemetry, heard: list[Event]) -> None:
    stop = bus.listen(heard.append, SENT)
    assert bus.wants(SENT)
    stop()
    stop()
    assert not bus.wants(SENT)
    bus.emit(SENT)
    assert heard == []


def test_attached_twice_it_is_called_once(bus: Telemetry, heard: list[Event]) -> None:
    listener = heard.append
    bus.listen(listener, SENT)
    bus.listen(listener, SENT)
    bus.emit(SENT)
    assert len(heard) == 1


def test_a_listener_that_raises_is_logged_and_kept(
    bus: Telemetry, heard: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("no")

    bus.listen(broken)
    bus.listen(heard.append)
    bus.emit(SENT)
    bus.emit(SENT)
    assert len(heard) == 2
    assert len([record for record in caplog.records if record.name == "dripdrop.telemetry"]) == 2


def test_a_listener_may_stop_itself_while_it_is_called(bus: Telemetry, heard: list[Event]) -> None:
    def once(event: Event) -> None:
        stop()
        heard.append(event)

    stop = bus.listen(once)
    bus.emit(SENT)
    bus.emit(SENT)
    assert len(heard) == 1


def test_secrets_do_not_pass(bus: Telemetry, heard: list[Event]) -> None:
    bus.listen(heard.append)
    bus.emit("dripdrop.hook.url_blocked", None, {"url": "https://h.example/?token=abc", "reason": "password=x"})
    assert heard[0].metadata == {"url": "https://h.example/?token=[REDACTED]", "reason": "password=[REDACTED]"}


def test_outside_strict_mode_unknown_keys_are_dropped_and_unknown_events_pass(heard: list[Event]) -> None:
    bus = Telemetry(redact)
    bus.listen(heard.append)
    bus.emit(SENT, None, {"channel": "email", "subject": "Hello Ann"})
    bus.emit("myapp.something", {"count": 2}, {"mine": 1, "api_key": "x"})
    assert heard[0].metadata == {"channel": "email"}
    assert heard[1] == Event("dripdrop.myapp.something", {"count": 2}, {"mine": 1, "api_key": "[REDACTED]"})


def test_in_strict_mode_what_is_not_catalogued_raises_even_unheard(bus: Telemetry) -> None:
    with pytest.raises(Invalid, match="not in the catalogue"):
        bus.emit("dripdrop.dispatch.snet")
    with pytest.raises(Invalid, match="may not carry subject"):
        bus.emit(SENT, None, {"subject": "Hello"})
    with pytest.raises(Invalid, match="No event is named"):
        bus.listen(print, "dripdrop.dispatch.snet")


def test_a_span_has_a_start_and_one_end(bus: Telemetry, heard: list[Event]) -> None:
    bus.listen(heard.append)
    with bus.span("dripdrop.attempts.record", {"delivery_id": "d"}) as known:
        known["outcome"] = "succeeded"
    assert [event.name.rpartition(".")[2] for event in heard] == ["start", "stop"]
    assert heard[0].metadata == {"delivery_id": "d"}
    assert heard[1].metadata == {"delivery_id": "d", "outcome": "succeeded"}
    assert heard[1].measurements["duration"] >= 0


def test_a_span_that_fails_says_so_and_the_failure_goes_on(bus: Telemetry, heard: list[Event]) -> None:
    bus.listen(heard.append)
    with pytest.raises(KeyError), bus.span("dripdrop.dispatch.phase", {"phase": "render"}):
        raise KeyError("secret detail")
    assert heard[1].name == "dripdrop.dispatch.phase.exception"
    assert heard[1].metadata == {"phase": "render", "exception": "KeyError"}


def test_every_span_of_the_catalogue_is_complete() -> None:
    starts = {name.removesuffix(".start") for name in EVENTS if name.endswith(".start")}
    assert len(starts) > 10
    for name in starts:
        assert {f"{name}.start", f"{name}.stop", f"{name}.exception"} <= EVENTS.keys()


FROM_THE_SPECS = """
dispatch.phase.start dispatch.phase.stop dispatch.sent dispatch.concurrency_limited dispatch.adapter_pinned
dispatch.pool_exhausted enrollment.sender_reassigned enrollment.sender_rebound enrollment.paused_pin_unavailable
enrollments.event_seed.error jobs.cron_tick.tick condition.fail_closed condition.coercion_error hook.exception
hook.url_blocked short_links.url_blocked short_link.fallback template.render template.missing_variable
template.spintax_error template.spintax_warning scheduler.pgflow.cancel_unsupported policy.suppressed
policy.quiet_hours policy.rate_limited policy.bounce_threshold policy.complaint_threshold policy.daily_cap
policy.adapter_resting policy.adapter_paused policy.ramp_cap policy.sub_cap policy.sub_cap.budget_conflict
policy.min_gap policy.adapter_paused.parse_warning policy.bounce_complaint_check.error health.state_changed
health.external_signal ingest.duplicate ingest.duplicate_event ingest.inbound_message ingest.ooo_rescheduled
ingest.reply_skipped_terminal ingest.signature_failure ingest.unmatched_event channel.token_unavailable
webhook.body_too_large webhook.replay_window webhook.url_blocked slack.url_blocked events.create.start
deliveries.plan.stop policy.evaluate.exception dispatch.sync.stop dispatch.enqueue.start dispatch.perform.stop
attempts.record.stop dispatch.adapter_fallback rendering.channel_unregistered
"""


@pytest.mark.parametrize("name", FROM_THE_SPECS.split())
def test_every_event_of_the_references_is_in_the_catalogue(name: str) -> None:
    assert f"dripdrop.{name}" in EVENTS


def test_every_event_the_code_emits_is_in_the_catalogue() -> None:
    import re

    pattern = re.compile(r"""(?:\bemit|\.wants|\.span)\(\s*f?["'](?:dripdrop\.)?([a-z_.]+)["']""")
    unknown = []
    for file in (Path(__file__).parents[1] / "src").rglob("*.py"):
        for name in pattern.findall(file.read_text(encoding="utf-8")):
            if not {f"dripdrop.{name}", f"dripdrop.{name}.start"} & EVENTS.keys():
                unknown.append((file.name, name))
    assert unknown == []


def test_the_log_listener_writes_stops_quietly_and_exceptions_as_warnings(
    bus: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "dripdrop.events")
    bus.listen(log_listener())
    bus.listen(log_listener())
    bus.emit("dripdrop.dispatch.stop", {"duration": 0.5}, {"channel": "email"})
    bus.emit("dripdrop.dispatch.exception", {"duration": 0.5}, {"exception": "KeyError"})
    assert [(record.levelname, "email" in record.getMessage()) for record in caplog.records] == [
        ("DEBUG", True),
        ("WARNING", False),
    ]


def test_where_nobody_listens_nothing_is_done() -> None:
    quiet = Telemetry(redact)
    assert calls(lambda: quiet.wants(SENT)) == ["Telemetry.wants"]
    assert calls(lambda: quiet.emit(SENT)) == ["Telemetry.emit"]
