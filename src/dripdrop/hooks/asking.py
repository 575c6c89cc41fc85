"""What do the hooks of these names answer about this person?"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from dripdrop.errors import Invalid
from dripdrop.hooks.calls import IN_FLIGHT, Gate, Permanent, Temporary, watched
from dripdrop.hooks.http import BLOCKED, Endpoints
from dripdrop.hooks.python import TIMEOUT_SECONDS, Modules
from dripdrop.rules.answers import Answer, Answered, Broken, Subject, Unavailable
from dripdrop.rules.definition import Version
from dripdrop.rules.http_hooks import Auth
from dripdrop.rules.plain import plain
from dripdrop.store.hooks import Hook
from dripdrop.telemetry import Telemetry

_LOG = logging.getLogger("dripdrop.hooks")
LARGEST_ANSWER = 256_000
LARGEST_CACHE = 64_000_000
KEPT = timedelta(minutes=5)
TROUBLE_KEPT = timedelta(seconds=2)
MOST_GATES = 4_096
ODD_SECONDS = 30.0
INACTIVE_SECONDS = 60.0

Key: TypeAlias = tuple[Any, ...]
Visited: TypeAlias = tuple[tuple[Any, Any], str]
Defined: TypeAlias = Callable[[Version], Coroutine[Any, Any, Sequence[Hook]]]


class Hooks:
    """Asks hooks for one event loop; nothing that a hook does is raised.

    Answers are kept for five minutes of business time per visit of a step and hook, trouble only for a moment, so that
    one call serves a step's condition, its template and its branches.
    """

    def __init__(
        self,
        modules: Modules,
        telemetry: Telemetry,
        endpoints: Endpoints | None = None,
        defined: Defined | None = None,
        opened: Callable[[Hook], Auth] = lambda hook: {},
        *,
        timeout: float = TIMEOUT_SECONDS,
        most: int = IN_FLIGHT,
    ) -> None:
        self._modules = modules
        self._telemetry = telemetry
        self._endpoints = endpoints
        self._defined = defined
        self._opened = opened
        self._reading: dict[UUID, asyncio.Task[Sequence[Hook]]] = {}
        self._timeout = timeout
        self._most = most
        self._gates: OrderedDict[Key, Gate] = OrderedDict()
        self._answers = _Kept()

    async def ask(self, names: Iterable[str], subject: Subject) -> Answer:
        """Every hook of these names, side by side: all values, or the first that is broken, else unavailable.

        A name is an active HTTP hook of the sequence, else one of the sequence's hook module; an HTTP hook that was
        switched off is unavailable. What answered before is not asked again for the same visit.
        """
        wanted = list(dict.fromkeys(names))
        answers = await asyncio.gather(*(self._one(name, subject) for name in wanted))
        for kind in (Broken, Unavailable):
            for answer in answers:
                if isinstance(answer, kind):
                    return answer
        values: dict[str, Any] = {}
        for answer in answers:
            values.update(answer.values)  # type: ignore[union-attr]
        return Answered(values)

    async def _one(self, name: str, subject: Subject) -> Answer:
        key = (subject.visit, name)
        known = self._answers.get(key, subject.now)
        if known is not None:
            return known
        try:
            answer, size = await self._asked(name, subject)
        except Exception:
            _LOG.exception("the hook %s could not be asked", name)
            return Unavailable(name, "internal_error", ODD_SECONDS)
        self._answers.put(key, answer, subject.now, size)
        return answer

    async def _asked(self, name: str, subject: Subject) -> tuple[Answer, int]:
        told: dict[str, Any] = {
            "hook": name,
            "step_execution_id": str(subject.execution_id),
            "sequence_key": subject.version.sequence_key,
            "tenant_key": subject.tenant or None,
        }
        with self._telemetry.span("hook.call", told) as ending:
            try:
                value, size = _measured(await self._value(name, subject, told))
                answer: Answer = Answered({name: value})
            except Temporary as trouble:
                answer, size = Unavailable(name, trouble.reason, _seconds(trouble.retry_after)), 0
            except Permanent as trouble:
                answer, size = Broken(name, trouble.reason), 0
                if trouble.__cause__ is not None:
                    self._telemetry.emit("hook.exception", None, {**told, "exception": trouble.reason})
            ending["outcome"] = type(answer).__name__.lower()
            if not isinstance(answer, Answered):
                ending["reason"] = answer.reason
        return answer, size

    async def _value(self, name: str, subject: Subject, told: dict[str, Any]) -> Any:
        hook = await self._endpoint(name, subject)
        if self._endpoints is None or hook is None or (not hook.active and subject.version.hook_module):
            return await self._of_module(name, subject)
        if not hook.active:
            raise Temporary("inactive", INACTIVE_SECONDS)
        told["http_hook_id"] = str(hook.id)
        gate = self._gate((hook.id,))
        async with gate.entered(subject.now):
            try:
                return await self._endpoints.ask(hook, self._opened(hook), subject, gate)
            except Permanent as trouble:
                if trouble.reason.startswith(BLOCKED):
                    why = trouble.reason.removeprefix(BLOCKED)
                    self._telemetry.emit("hook.url_blocked", None, {**told, "reason": why})
                raise

    async def _endpoint(self, name: str, subject: Subject) -> Hook | None:
        """The HTTP hook of that key; whoever asks while the hooks of its sequence are being read waits for them too."""
        if self._defined is None:
            return None
        sequence = subject.version.sequence_id
        reading = self._reading.get(sequence)
        if reading is None:
            reading = self._reading[sequence] = asyncio.ensure_future(self._defined(subject.version))
            reading.add_done_callback(lambda _: self._reading.pop(sequence, None))
        # Shielded: one who gives up must not take the answer from the others.
        found = await asyncio.shield(reading)
        return next((hook for hook in found if hook.key == name), None)

    async def _of_module(self, name: str, subject: Subject) -> Any:
        reference = subject.version.hook_module
        if not reference:
            raise Permanent("unknown_hook")
        gate = self._gate((reference, name))
        # A copy: what a hook writes into it must not reach the message.
        trusted = subject.version.tenant_key == ""
        enrollment, context = deepcopy((dict(subject.enrollment), _context(subject)))
        async with gate.entered(subject.now):
            return await watched(
                gate,
                subject.now,
                lambda: self._modules.ask(reference, name, enrollment, context, timeout=self._timeout, trusted=trusted),
            )

    def _gate(self, key: Key) -> Gate:
        gate = self._gates.pop(key, None) or Gate(self._most)
        self._gates[key] = gate
        if len(self._gates) > MOST_GATES:
            self._gates.popitem(last=False)
        return gate


class _Kept:
    """Answers by visit and hook; the oldest go when they weigh too much together."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Visited, tuple[datetime, Answer, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: Visited, now: datetime) -> Answer | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        at, answer, _ = entry
        good = KEPT if isinstance(answer, Answered) else TROUBLE_KEPT
        return answer if timedelta() <= now - at < good else None

    def put(self, key: Visited, answer: Answer, now: datetime, size: int) -> None:
        if key in self._entries:
            self._weight -= self._entries.pop(key)[2]
        # An entry costs something itself, whatever it says.
        self._entries[key] = (now, answer, size + 500)
        self._weight += size + 500
        while self._weight > LARGEST_CACHE:
            self._weight -= self._entries.popitem(last=False)[1][2]


def _context(subject: Subject) -> Mapping[str, Any]:
    version, step = subject.version, subject.step
    return {
        "step_execution_id": str(subject.execution_id),
        "sequence": {"key": version.sequence_key, "name": version.sequence_name, "version": version.number},
        "step": {"key": step.key, "name": step.name, "channel": step.channel},
        "vars": dict(subject.variables),
        "tenant": subject.tenant or None,
        "now": subject.now,
    }


def _measured(value: Any) -> tuple[Any, int]:
    """The value as JSON can hold it, and its size; raises `Permanent`."""
    try:
        said = plain(value)
        size = len(orjson.dumps(said))
    except (Invalid, TypeError) as error:
        code = error.code if isinstance(error, Invalid) else "not_plain"
        raise Permanent(code) from None
    if size > LARGEST_ANSWER:
        raise Permanent("too_large")
    return said, size


def _seconds(value: Any) -> float | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if good else None
