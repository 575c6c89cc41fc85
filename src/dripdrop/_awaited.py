"""What can be asked of DripDrop, awaiting each answer?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Unpack
from uuid import UUID

from dripdrop._binding import Awaited, Group
from dripdrop._facade import Facade, chunks, moved, person_and_step_of, step_of
from dripdrop.engine.dispatcher import Run
from dripdrop.errors import Finding
from dripdrop.operations import (
    authoring,
    drafting,
    enrolling,
    explaining,
    hooking,
    ingesting,
    provisioning,
    receiving,
    reporting,
    resolving,
    restoring,
    stopping,
    suppressing,
    tracking,
)
from dripdrop.operations.enrolling import Result
from dripdrop.operations.hooking import HookName
from dripdrop.operations.suppressing import Imported
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.message import Message
from dripdrop.rules.outcome import Outcome
from dripdrop.services.hook_tests import Tried
from dripdrop.services.previewing import Preview, Wishes
from dripdrop.services.receiving import Pairs, Received
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.suppressions import Suppression


class _AsyncSequences(Group):
    """Sequences, versions, steps, transitions, conditions."""

    create = Awaited(authoring.create_sequence)
    update = Awaited(authoring.update_sequence)
    delete = Awaited(authoring.delete_sequence)
    get = Awaited(authoring.get_sequence)
    list = Awaited(authoring.list_sequences)
    draft = Awaited(authoring.draft)
    clone_version = Awaited(authoring.clone_version)
    add_step = Awaited(drafting.add_step)
    update_step = Awaited(drafting.update_step)
    remove_step = Awaited(drafting.remove_step)
    add_transition = Awaited(drafting.add_transition)
    add_condition = Awaited(drafting.add_condition)
    validate = Awaited(authoring.validate, "checks")
    activate = Awaited(authoring.activate, "checks", "keyring")
    archive = Awaited(authoring.archive)
    _apply = Awaited(authoring.apply, "checks", "keyring")
    active_version = Awaited(authoring.active_version)
    version = Awaited(authoring.version)
    max_version_number = Awaited(authoring.max_version_number)
    latest_step = Awaited(authoring.latest_step)
    steps = Awaited(authoring.steps)
    versions = Awaited(authoring.versions)
    counts = Awaited(reporting.sequences)

    async def apply(self, document: SequenceDocument | Mapping[str, Any]) -> authoring.Applied:
        """Make a document the active version of its sequence; the same document again changes nothing.

        What belongs to the sequence itself (name, description, hooks, metadata, active) is updated in place; anything
        else makes a new version. External templates are fetched and become part of it. Raises Invalid (`cannot_apply`)
        with every problem at once, Invalid (`template_source`).
        """
        return await self._apply(await self._owner._work("pinned", document))


class _AsyncEnrollments(Group):
    """People in sequences."""

    get = Awaited(reporting.enrollment)
    list = Awaited(reporting.enrollments)
    update_data = Awaited(enrolling.update_data)
    move = Awaited(enrolling.move, "default_zone", "scheduler")


class _AsyncExecutions(Group):
    """Visits of steps: what was, is and will be sent."""

    get = Awaited(reporting.execution)
    list = Awaited(reporting.executions)
    resolve = Awaited(resolving.resolve, "default_zone")
    replay = Awaited(resolving.replay)

    async def dispatch(self, id: UUID) -> Run:
        """Process one execution if it is due and free; what a scheduler's job calls."""
        return await self._owner._work("dispatch", id)  # type: ignore[no-any-return]


class _AsyncAdapters(Group):
    """Provider accounts that messages go through."""

    create = Awaited(provisioning.create, "known", "vault")
    update = Awaited(provisioning.update, "known", "vault")
    get = Awaited(provisioning.get)
    list = Awaited(provisioning.list_)

    async def test(self, adapter: Any) -> str | None:
        """Ask the provider whether the adapter would work: None is good, text says what is wrong."""
        found = await self.get(adapter)
        return await self._owner._work("check_adapter", found)  # type: ignore[no-any-return]


class _AsyncHooks(Group):
    """HTTP endpoints that sequences ask."""

    create = Awaited(hooking.create, "keyring")
    update = Awaited(hooking.update, "keyring")
    get = Awaited(hooking.get)
    list = Awaited(hooking.list_)

    async def test(self, hook: HookName, data: Mapping[str, Any] | None = None) -> Tried:
        """Call it for nobody, past every cache, with `data` as its variables; a redacted result is kept with it."""
        found = await self.get(hook)
        tried, kept = await self._owner._work("test_hook", found, data or {})
        await self._run(lambda now, scope: hooking.noted(now, scope, found, kept))
        return tried  # type: ignore[no-any-return]


class _AsyncSuppressions(Group):
    """Who must not be written to."""

    check = Awaited(suppressing.check)
    list = Awaited(suppressing.list_)
    lift = Awaited(suppressing.lift)
    history = Awaited(suppressing.history)

    async def import_(self, rows: Iterable[Mapping[str, Any]]) -> Sequence[Imported]:
        """Suppress many, each a mapping of `suppress`'s arguments: one result per row, in order, bad rows reported.

        In transactions of 5,000 rows; inside the host's transaction (`using`) in that one.
        """
        results: list[Imported] = []
        for begin, chunk in chunks(rows):
            done = await self._import(chunk)
            results.extend(replace(each, row=each.row + begin) for each in done)
        return results

    async def export(self) -> AsyncIterator[dict[str, Any]]:
        """The scope's own that hold, one by one, as rows that `import_` takes; read page by page."""
        after: Suppression | None = None
        while page := await self._page(after=after):
            for each in page:
                yield suppressing.row(each)
            after = page[-1]

    _import = Awaited(suppressing.import_)
    _page = Awaited(suppressing.export)


class _AsyncEvents(Group):
    """What happened in the host."""

    list = Awaited(reporting.events)


class _AsyncMessageEvents(Group):
    """What providers and mailboxes told."""

    list = Awaited(reporting.message_events)


class _AsyncWebhooks(Group):
    """What providers post to us."""

    routes = Awaited(receiving.routes, "known", "public_url")
    list = Awaited(receiving.list_)
    get = Awaited(receiving.get)
    replay = Awaited(receiving.replay)

    async def receive(
        self,
        provider: str,
        adapter_id: UUID | str,
        *,
        method: str,
        url: str,
        headers: Pairs,
        body: bytes,
        remote: str | None = None,
    ) -> Received:
        """Verify a request, keep it, and say what to answer: for hosts whose own server took it in.

        `url` is whole and as the provider called it, `headers` are pairs or a mapping, `body` the bytes as they came.
        """
        owner, given = self._owner, {"method": method, "url": url, "headers": headers, "body": body, "remote": remote}
        return await owner._work("receive", owner._scope, provider, adapter_id, **given)  # type: ignore[no-any-return]


class _AsyncJournal(Group):
    """One line per transition, in order."""

    list = Awaited(reporting.journal)


class AsyncDripDrop(Facade):
    """The awaited facade: the same list.

    `database` is a URL, a psycopg pool, a SQLAlchemy engine or a Django alias; None is the configured one, or the
    embedded PostgreSQL in `.dripdrop/`. `config` overrides settings, `clock` has `now()`, `http` is a transport used
    for every outgoing call.
    """

    enroll = Awaited(enrolling.enroll, "default_zone", "scheduler")
    pause = Awaited(enrolling.pause, "scheduler")
    resume = Awaited(enrolling.resume, "scheduler")
    unenroll = Awaited(enrolling.unenroll, "scheduler")
    track = Awaited(tracking.track, "scheduler")
    track_many = Awaited(tracking.track_many, "scheduler")
    suppress = Awaited(suppressing.suppress)
    ingest_inbound_message = Awaited(ingesting.ingest_inbound_message, "feedback_policy")
    ingest_raw_email = Awaited(ingesting.ingest_raw_email, "feedback_policy")
    explain = Awaited(explaining.explain)
    status = Awaited(reporting.status)
    stop = Awaited(stopping.stop)
    go = Awaited(stopping.go)
    stops = Awaited(stopping.list_)
    hold_back = Awaited(restoring.hold_back)

    def for_tenant(self, tenant: str) -> AsyncDripDrop:
        """A tenant's view: its own rows, and global sequences and adapters."""
        return self._view(_scope=Scope.of(tenant))  # type: ignore[no-any-return]

    def using(self, connection: Any) -> AsyncDripDrop:
        """A view that joins the host's transaction: nothing is visible before the host commits."""
        return self._view(_host=connection)  # type: ignore[no-any-return]

    def _begin(self) -> None:
        self.sequences = _AsyncSequences(self)
        self.enrollments = _AsyncEnrollments(self)
        self.executions = _AsyncExecutions(self)
        self.adapters = _AsyncAdapters(self)
        self.hooks = _AsyncHooks(self)
        self.suppressions = _AsyncSuppressions(self)
        self.events = _AsyncEvents(self)
        self.message_events = _AsyncMessageEvents(self)
        self.webhooks = _AsyncWebhooks(self)
        self.journal = _AsyncJournal(self)

    async def enroll_many(self, sequence: str, rows: Iterable[Mapping[str, Any]]) -> list[Result]:
        """Enroll a list of `{subscriber, data, metadata, starting_step}`; one result per row, in order.

        In transactions of 5,000 rows; inside the host's transaction (`using`) in that one.
        """
        results: list[Result] = []
        for begin, chunk in chunks(rows):
            done = await self._enroll_chunk(sequence, chunk)
            results.extend(done if begin == 0 else (moved(each, begin) for each in done))
        return results

    _enroll_chunk = Awaited(enrolling.enroll_many, "default_zone", "scheduler")

    async def run_due(self, limit: int | None = None) -> Run:
        """One pass of the engine: what is due now, and what follows from it at once."""
        return await self._work("run_due", limit=limit)  # type: ignore[no-any-return]

    async def drain(self, until: datetime | None = None) -> Run:
        """Work until nothing is due; with `until`, move a frozen or virtual clock on to each due moment up to it."""
        return await self._work("drain", until=until)  # type: ignore[no-any-return]

    async def run_worker(self) -> None:
        """Work inside this process until interrupted (or, awaited, cancelled); then stop gently."""
        await self._work("run_worker")

    async def preview(
        self, step: Any, *, version: Any = None, sequence: Any = None, **wishes: Unpack[Wishes]
    ) -> Message:
        """The message of a step by the path that sending takes: for `data`, an `enrollment`, a `subscriber`, or nobody.

        `hooks`, `event`, `locale`, `variant` and `now` stand for what sending would find. Raises as rendering does.
        """
        return (await self.preview_report(step, version=version, sequence=sequence, **wishes)).message

    async def preview_report(
        self, step: Any, *, version: Any = None, sequence: Any = None, **wishes: Unpack[Wishes]
    ) -> Preview:
        """The same with language, variant, missing variables, links, size and warnings."""
        found = await self._run(lambda now, scope: person_and_step_of(now, scope, step, version, sequence, wishes))
        return self._look(*found, wishes=wishes)

    async def send_test(
        self, step: Any, *, to: str, data: Mapping[str, Any] | None = None, version: Any = None, sequence: Any = None
    ) -> Outcome:
        """Send one message of a step to an address, for real and outside every enrollment."""
        found = await self._run(lambda now, scope: step_of(now, scope, step, version, sequence))
        return await self._work("send_test", *found[:3], to, data or {}, found[3])  # type: ignore[no-any-return]

    async def doctor(self) -> list[Finding]:
        """What is wrong, or not yet right, with this installation."""
        return await self._work("doctor")  # type: ignore[no-any-return]

    async def setup(self) -> list[int]:
        """Apply the schema; the numbers of the migrations that were missing."""
        return await self._work("setup")  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Close connections; the embedded server stops with its last user."""
        await self._worker.close()
        if self._served:
            await asyncio.to_thread(self._unserve)
        self._core.close()

    async def __aenter__(self) -> AsyncDripDrop:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _run(self, operation: Callable[[datetime, Scope], Flow[Any]]) -> Any:
        scope = self._scope
        if self._host is not None:
            from dripdrop.store import hosts

            return await hosts.run_async(
                self._host, self._core.config().schema, lambda now: operation(now, scope), clock=self._core.clock
            )
        return await self._worker.runtime().database.run(lambda now: operation(now, scope))

    async def _work(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return await getattr(self._worker, name)(*args, **kwargs)
