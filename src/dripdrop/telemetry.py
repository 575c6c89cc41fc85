"""Who wants to hear what happened?

`EVENTS` is the catalogue: every event there is, with the metadata keys it may carry besides `COMMON`; a key that is in
neither is not passed on. Measurements are `count` (1), but for the stop and exception of a span `duration`, in
seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

from dripdrop.errors import Invalid

PREFIX = "dripdrop."

COMMON = frozenset({
    "tenant_key", "sequence_key", "sequence_version_id", "step_key", "step_execution_id", "enrollment_id", "channel",
    "adapter_id", "adapter_provider", "reason", "worker_id",
})  # fmt: skip

# One line each: the name, then the metadata keys. `name/` is a span and stands for .start, .stop and .exception.
_CATALOGUE = """
dispatch/                           kind outcome attempt
dispatch.phase/                     phase outcome
dispatch.sent                       phase provider_message_id out_message_id attempt
dispatch.skipped
dispatch.deferred                   defer_until scope
dispatch.failed                     outcome error_class attempt
dispatch.retried                    outcome error_class attempt defer_until
dispatch.unknown                    outcome attempt
dispatch.concurrency_limited        scope cap in_flight defer_until
dispatch.adapter_pinned
dispatch.adapter_fallback           fallback
dispatch.pool_exhausted             pool_id evicted_adapter_ids
dispatch.sync/                      delivery_id outcome adapter_module
dispatch.enqueue/                   delivery_id job_id
dispatch.perform/                   delivery_id outcome attempt max_attempts adapter_module
events.create/                      event_key event_id correlation_id
deliveries.plan/                    delivery_id notification_key category planning_reason
policy.evaluate/                    delivery_id gate suppression_reason planning_reason
attempts.record/                    delivery_id attempt_id outcome attempt_number error_class correlation_id
rendering.channel_unregistered
enrollment.created                  reentry
enrollment.completed
enrollment.paused                   source
enrollment.resumed
enrollment.cancelled                source
enrollment.moved
enrollment.sender_reassigned        old_adapter_id new_adapter_id
enrollment.sender_rebound           old_adapter_id new_adapter_id
enrollment.paused_pin_unavailable
enrollments.event_seed.error        errors
jobs.cron_tick.tick                 errors
condition.fail_closed               condition_id hook_function
condition.coercion_error            condition_id condition_type field_path hook_function operator
hook.call/                          hook http_hook_id outcome
hook.exception                      hook exception stacktrace
hook.url_blocked                    http_hook_id url
short_links.url_blocked             endpoint
short_link.fallback
template.render
template.missing_variable           variable
template.spintax_error              byte_size hash attempt_window
template.spintax_warning            byte_size hash attempt_window
scheduler.pgflow.cancel_unsupported job_id
scheduler.wake/                     scheduler
policy.suppressed                   suppression_reason scope
policy.quiet_hours                  timezone start_hour end_hour defer_until
policy.rate_limited                 scope key limit window_seconds used defer_until
policy.bounce_threshold             rate
policy.complaint_threshold          rate
policy.bounce_complaint_check.error errors
policy.daily_cap                    sender_mailbox sent_count cap defer_until
policy.adapter_resting              resting_until defer_until
policy.adapter_paused               paused_until defer_until
policy.adapter_paused.parse_warning
policy.ramp_cap                     sent_count cap defer_until
policy.sub_cap                      sent_count cap defer_until
policy.sub_cap.budget_conflict
policy.min_gap                      defer_until
policy.stopped                      scope defer_until
policy.only_to
health.state_changed                from to source
health.external_signal              from to source
suppression.added                   suppression_reason source
suppression.lifted                  suppression_reason source
ingest.process/                     provider outcome
ingest.event                        provider status severity
ingest.duplicate                    provider provider_event_id
ingest.duplicate_event              provider provider_event_id
ingest.inbound_message              provider
ingest.ooo_rescheduled              until
ingest.reply_skipped_terminal       state
ingest.signature_failure            provider
ingest.unmatched_event              provider provider_message_id
webhook.receive/                    provider status
webhook.body_too_large              provider size
webhook.replay_window               provider skew_seconds
webhook.url_blocked                 url
slack.url_blocked                   url
channel.token_unavailable           kind
worker.started
worker.stopped
worker.loop/                        loop
worker.lag                          loop queue_age_seconds
rescue.recovered                    state
telemetry.test
"""


def _read(catalogue: str) -> Mapping[str, frozenset[str]]:
    events: dict[str, frozenset[str]] = {}
    for line in catalogue.split("\n"):
        if not line.strip():
            continue
        name, *keys = line.split()
        allowed = COMMON | frozenset(keys)
        if not name.endswith("/"):
            events[PREFIX + name] = allowed
            continue
        name = PREFIX + name[:-1]
        events[name + ".start"] = events[name + ".stop"] = allowed
        events[name + ".exception"] = allowed | {"exception"}
    return MappingProxyType(events)


EVENTS: Mapping[str, frozenset[str]] = _read(_CATALOGUE)
"""Every event by its full name, with the metadata keys it may carry."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `dripdrop.dispatch.sent`, its numbers, and what it was about (no secrets)."""

    name: str
    measurements: Mapping[str, float]
    metadata: Mapping[str, Any]


Listener: TypeAlias = Callable[[Event], object]
_COUNT: Mapping[str, float] = MappingProxyType({"count": 1})
_LOG = logging.getLogger("dripdrop.telemetry")


class Telemetry:
    """One bus: listeners are called in the order they came, in the thread of whoever emits.

    `redact` takes secrets out of every metadata value. `strict` raises on an event or a key that is not catalogued;
    else an unknown event is passed on and an unknown key is dropped.
    """

    def __init__(self, redact: Callable[[Any], Any], *, strict: bool = False) -> None:
        self._redact = redact
        self._strict = strict
        self._listening: tuple[tuple[Listener, tuple[str, ...]], ...] = ()
        self._routes: dict[str, tuple[Listener, ...]] = {}

    def listen(self, listener: Listener, *names: str) -> Callable[[], None]:
        """Call `listener` with each event of these names, all of them if none is given; returns what ends it.

        A name ending in `*` means every name that begins so; the prefix `dripdrop.` may be left out. The same listener
        for the same names is called once however often it is attached.
        """
        entry = (listener, tuple(sorted(_full(name) for name in names)))
        for wanted in entry[1]:
            self._check_name(wanted)
        if entry not in self._listening:
            self._listening = (*self._listening, entry)
        # Replaced, never changed: whoever is emitting right now goes on with the old ones.
        self._routes = {}

        def stop() -> None:
            self._listening = tuple(each for each in self._listening if each != entry)
            self._routes = {}

        return stop

    def wants(self, name: str) -> bool:
        """Whether anybody listens to this name, so that nothing is gathered for nobody."""
        return bool(self._route(name)) if self._listening else False

    def emit(
        self, name: str, measurements: Mapping[str, float] | None = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Tell who listens; what a listener raises is logged and hurts nobody else."""
        if self._strict:
            self._check(name, metadata or {})
        if not self._listening or not (route := self._route(name)):
            return
        event = Event(_full(name), measurements or _COUNT, self._shown(_full(name), metadata or {}))
        for listener in route:
            try:
                listener(event)
            except Exception:
                _LOG.exception("A telemetry listener failed on %s; it stays attached.", event.name)

    @contextmanager
    def span(self, name: str, metadata: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Emit `name.start`, then `name.stop` or `name.exception` with the duration; what is put into the yielded
        mapping meanwhile comes with the end."""
        known = dict(metadata or {})
        self.emit(name + ".start", None, known)
        started = time.perf_counter()
        try:
            yield known
        except BaseException as problem:
            took = {"duration": time.perf_counter() - started}
            self.emit(name + ".exception", took, {**known, "exception": type(problem).__name__})
            raise
        self.emit(name + ".stop", {"duration": time.perf_counter() - started}, known)

    def _route(self, name: str) -> tuple[Listener, ...]:
        routes = self._routes
        route = routes.get(name)
        if route is None:
            full = _full(name)
            route = tuple(listener for listener, names in self._listening if not names or _matches(full, names))
            # A name is one of the catalogue's or a host's own few; made-up ones must not fill the memory.
            if len(routes) < 1024:
                routes[name] = route
        return route

    def _shown(self, name: str, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        allowed = EVENTS.get(name)
        return {
            key: self._redact({key: value})[key] for key, value in metadata.items() if allowed is None or key in allowed
        }

    def _check(self, name: str, metadata: Mapping[str, Any]) -> None:
        allowed = EVENTS.get(_full(name))
        if allowed is None:
            raise Invalid(f"{name} is not in the catalogue.", cure="Add it to telemetry.", code="unknown_event")
        if unknown := sorted(set(metadata) - allowed):
            raise Invalid(
                f"{name} may not carry {', '.join(unknown)}.",
                cure="Add it to its line in telemetry.",
                code="unknown_key",
            )

    def _check_name(self, wanted: str) -> None:
        known = any(_matches(name, (wanted,)) for name in EVENTS)
        if self._strict and not known:
            raise Invalid(f"No event is named {wanted}.", cure="See dripdrop.telemetry.EVENTS.", code="unknown_event")


@lru_cache(maxsize=8)
def log_listener(logger: logging.Logger | None = None, level: int = logging.DEBUG) -> Listener:
    """A listener that writes each event to a logger (`dripdrop.events`): exceptions and errors as warnings."""
    log = logger or logging.getLogger("dripdrop.events")

    def write(event: Event) -> None:
        at = logging.WARNING if event.name.endswith((".exception", ".error")) else level
        if log.isEnabledFor(at):
            log.log(at, "%s %s %s", event.name, dict(event.measurements), dict(event.metadata))

    return write


def _full(name: str) -> str:
    return name if name.startswith(PREFIX) or name == "*" else PREFIX + name


def _matches(name: str, wanted: tuple[str, ...]) -> bool:
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in wanted)
