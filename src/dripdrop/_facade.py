"""What are both facades made of?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop._core import Core, Portal
from dripdrop._work import Work
from dripdrop.errors import NotFound
from dripdrop.operations import (
    authoring,
    provisioning,
    reporting,
)
from dripdrop.operations.enrolling import Result
from dripdrop.plugins import Plugins
from dripdrop.services.previewing import Preview, Wishes
from dripdrop.store import sequences
from dripdrop.store.flow import Flow
from dripdrop.store.scope import GLOBAL, Scope
from dripdrop.telemetry import Telemetry

CHUNK = 5_000


class Facade:
    """What both facades are made of; `for_tenant` and `using` give views that share everything else."""

    def __init__(
        self,
        database: Any = None,
        *,
        config: Any = None,
        plugins: Iterable[Any] = (),
        clock: Any = None,
        http: Any = None,
    ) -> None:
        self._core = Core(database, config, plugins, clock, http)
        self._worker = Work(self._core)
        self._portal = Portal()
        self._served: list[Work] = []
        self._scope = GLOBAL
        self._host: Any = None
        self._begin()

    def _begin(self) -> None:
        raise NotImplementedError

    def _view(self, **changes: Any) -> Any:
        view = copy(self)
        vars(view).update(changes)
        view._begin()
        return view

    @property
    def plugins(self) -> Plugins:
        """The registry of this object: `register`, `list`."""
        return self._core.plugins

    @property
    def telemetry(self) -> Telemetry:
        """The event bus of this object: `listen`."""
        return self._core.telemetry

    @property
    def tenant(self) -> str | None:
        """Whose view this is; None is the global scope."""
        return self._scope.shown

    def asgi(self, parts: Sequence[str] = ("webhooks", "public")) -> Any:
        """An ASGI application of these parts, mountable under any prefix.

        `webhooks` alone serves `/{provider}/{adapter_id}` at the mount's root; with others, under `/webhooks`.
        """
        return self._worker.asgi(parts, self._scope)

    def wsgi(self, parts: Sequence[str] = ("webhooks", "public")) -> Any:
        """The same parts as a WSGI application, for Flask and other blocking hosts, mountable under any prefix."""
        from dripdrop.web.wsgi import Wsgi

        # A runtime belongs to its event loop, and this one is the portal's.
        served = Work(self._core)
        self._served.append(served)
        app = served.asgi(parts, self._scope)
        return Wsgi(app, self._portal.run, lambda: self._core.config().webhook_max_body_bytes)

    def _unserve(self) -> None:
        while self._served:
            self._portal.run(self._served.pop().close())

    def unsubscribe_token(self, *, channel: str, recipient: str, sequence: Any = None, topic: str | None = None) -> str:
        """A signed token for `/u/{token}`: who wishes to hear no more of a sequence, a topic, or at all."""
        return self._worker.unsubscribe_token(self._scope, channel, recipient, sequence, topic)

    def unsubscribe_url(self, execution: Any) -> str:
        """Where the recipient of an execution unsubscribes; needs `public_url`."""
        return self._worker.unsubscribe_url(self._scope, execution)

    def _given(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self._worker.given(name, self._scope) for name in names}

    def _look(self, now: datetime, version: Any, step: Any, adapter: Any, person: Any, *, wishes: Wishes) -> Preview:
        return self._worker.preview(now, version, step, adapter, person, wishes)


def chunks(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[int, list[Mapping[str, Any]]]]:
    chunk: list[Mapping[str, Any]] = []
    begin = 0
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield begin, chunk
            begin += CHUNK
            chunk = []
    if chunk:
        yield begin, chunk


def moved(result: Result, by: int) -> Result:
    return Result(result.row + by, result.enrollment_id, result.created, result.error)


def person_and_step_of(
    now: datetime, scope: Scope, step: Any, version: Any, sequence: Any, wishes: Wishes
) -> Flow[tuple[Any, ...]]:
    """What `step_of` says, and the enrollment that a preview is for, if any."""
    found = yield from step_of(now, scope, step, version, sequence)
    person = wishes.get("enrollment")
    if isinstance(person, UUID):
        person = yield from reporting.enrollment(now, scope, person)
    elif person is None and wishes.get("subscriber") is not None:
        several = yield from reporting.enrollments(
            now, scope, sequence=found[1].sequence_key, subscriber=wishes["subscriber"], limit=1
        )
        if not several:
            raise NotFound("This subscriber never was in the sequence.", cure="Give its data instead.")
        person = several[0]
    return *found, person


def step_of(
    now: datetime, scope: Scope, step: Any, version: Any, sequence: Any
) -> Flow[tuple[datetime, Any, Any, Any]]:
    """The version, the step and the adapter that its messages would go through."""
    if isinstance(step, str) and sequence is not None:
        owner = yield from authoring.active_version(now, scope, sequence)
    elif version is not None:
        owner = yield from authoring.load(scope, version)
    else:
        version_id = yield from sequences.owner_of(scope, step=getattr(step, "id", step))
        owner = (yield from authoring.load(scope, version_id)) if version_id else None
    key = getattr(step, "key", step)
    found = (owner.step(key) if isinstance(key, str) else owner.step_by_id(key)) if owner is not None else None
    if found is None:
        raise NotFound(
            f"There is no step {key!r}.", cure="Name a step of an active version, with sequence= or version=."
        )
    named = found.adapter_override or found.adapter
    if named is not None:
        return now, owner, found, (yield from provisioning.get(now, scope, UUID(named)))
    return now, owner, found, (yield from provisioning.default(now, scope, found.channel))
