"""What can be asked of DripDrop, waiting for each answer?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Unpack
from uuid import UUID

from dripdrop._binding import Group, Sync
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


class _Sequences(Group):
    """Sequences, versions, steps, transitions, conditions."""

    create = Sync(authoring.create_sequence)
    update = Sync(authoring.update_sequence)
    delete = Sync(authoring.delete_sequence)
    get = Sync(authoring.get_sequence)
    list = Sync(authoring.list_sequences)
    draft = Sync(authoring.draft)
    clone_version = Sync(authoring.clone_version)
    add_step = Sync(drafting.add_step)
    update_step = Sync(drafting.update_step)
    remove_step = Sync(drafting.remove_step)
    add_transition = Sync(drafting.add_transition)
    add_condition = Sync(drafting.add_condition)
    validate = Sync(authoring.validate, "checks")
    activate = Sync(authoring.activate, "checks", "keyring")
    archive = Sync(authoring.archive)
    _apply = Sync(authoring.apply, "checks", "keyring")
    active_version = Sync(authoring.active_version)
    version = Sync(authoring.version)
    max_version_number = Sync(authoring.max_version_number)
    latest_step = Sync(authoring.latest_step)
    steps = Sync(authoring.steps)
    versions = Sync(authoring.versions)
    counts = Sync(reporting.sequences)

    def apply(self, document: SequenceDocument | Mapping[str, Any]) -> authoring.Applied:
        """Make a document the active version of its sequence; the same document again changes nothing.

        What belongs to the sequence itself (name, description, hooks, metadata, active) is updated in place; anything
        else makes a new version. External templates are fetched and become part of it. Raises Invalid (`cannot_apply`)
        with every problem at once, Invalid (`template_source`).
        """
        return self._apply(self._owner._work("pinned", document))


class _Enrollments(Group):
    """People in sequences."""

    get = Sync(reporting.enrollment)
    list = Sync(reporting.enrollments)
    update_data = Sync(enrolling.update_data)
    move = Sync(enrolling.move, "default_zone", "scheduler")


class _Executions(Group):
    """Visits of steps: what was, is and will be sent."""

    get = Sync(reporting.execution)
    list = Sync(reporting.executions)
    resolve = Sync(resolving.resolve, "default_zone")
    replay = Sync(resolving.replay)

    def dispatch(self, id: UUID) -> Run:
        """Process one execution if it is due and free; what a scheduler's job calls."""
        return self._owner._work("dispatch", id)  # type: ignore[no-any-return]


class _Adapters(Group):
    """Provider accounts that messages go through."""

    create = Sync(provisioning.create, "known", "vault")
    update = Sync(provisioning.update, "known", "vault")
    get = Sync(provisioning.get)
    list = Sync(provisioning.list_)

    def test(self, adapter: Any) -> str | None:
        """Ask the provider whether the adapter would work: None is good, text says what is wrong."""
        found = self.get(adapter)
        return self._owner._work("check_adapter", found)  # type: ignore[no-any-return]


class _Hooks(Group):
    """HTTP endpoints that sequences ask."""

    create = Sync(hooking.create, "keyring")
    update = Sync(hooking.update, "keyring")
    get = Sync(hooking.get)
    list = Sync(hooking.list_)

    def test(self, hook: HookName, data: Mapping[str, Any] | None = None) -> Tried:
        """Call it for nobody, past every cache, with `data` as its variables; a redacted result is kept with it."""
        found = self.get(hook)
        tried, kept = self._owner._work("test_hook", found, data or {})
        self._run(lambda now, scope: hooking.noted(now, scope, found, kept))
        return tried  # type: ignore[no-any-return]


class _Suppressions(Group):
    """Who must not be written to."""

    check = Sync(suppressing.check)
    list = Sync(suppressing.list_)
    lift = Sync(suppressing.lift)
    history = Sync(suppressing.history)

    def import_(self, rows: Iterable[Mapping[str, Any]]) -> Sequence[Imported]:
        """Suppress many, each a mapping of `suppress`'s arguments: one result per row, in order, bad rows reported.

        In transactions of 5,000 rows; inside the host's transaction (`using`) in that one.
        """
        results: list[Imported] = []
        for begin, chunk in chunks(rows):
            done = self._import(chunk)
            results.extend(replace(each, row=each.row + begin) for each in done)
        return results

    def export(self) -> Iterator[dict[str, Any]]:
        """The scope's own that hold, one by one, as rows that `import_` takes; read page by page."""
        after: Suppression | None = None
        while page := self._page(after=after):
            for each in page:
                yield suppressing.row(each)
            after = page[-1]

    _import = Sync(suppressing.import_)
    _page = Sync(suppressing.export)


class _Events(Group):
    """What happened in the host."""

    list = Sync(reporting.events)


class _MessageEvents(Group):
    """What providers and mailboxes told."""

    list = Sync(reporting.message_events)


class _Webhooks(Group):
    """What providers post to us."""

    routes = Sync(receiving.routes, "known", "public_url")
    list = Sync(receiving.list_)
    get = Sync(receiving.get)
    replay = Sync(receiving.replay)

    def receive(
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
        return owner._work("receive", owner._scope, provider, adapter_id, **given)  # type: ignore[no-any-return]


class _Journal(Group):
    """One line per transition, in order."""

    list = Sync(reporting.journal)


class DripDrop(Facade):
    """The blocking facade.

    `database` is a URL, a psycopg pool, a SQLAlchemy engine or a Django alias; None is the configured one, or the
    embedded PostgreSQL in `.dripdrop/`. `config` overrides settings, `clock` has `now()`, `http` is a transport used
    for every outgoing call.
    """

    enroll = Sync(enrolling.enroll, "default_zone", "scheduler")
    pause = Sync(enrolling.pause, "scheduler")
    resume = Sync(enrolling.resume, "scheduler")
    unenroll = Sync(enrolling.unenroll, "scheduler")
    track = Sync(tracking.track, "scheduler")
    track_many = Sync(tracking.track_many, "scheduler")
    suppress = Sync(suppressing.suppress)
    ingest_inbound_message = Sync(ingesting.ingest_inbound_message, "feedback_policy")
    ingest_raw_email = Sync(ingesting.ingest_raw_email, "feedback_policy")
    explain = Sync(explaining.explain)
    status = Sync(reporting.status)
    stop = Sync(stopping.stop)
    go = Sync(stopping.go)
    stops = Sync(stopping.list_)
    hold_back = Sync(restoring.hold_back)

    def for_tenant(self, tenant: str) -> DripDrop:
        """A tenant's view: its own rows, and global sequences and adapters."""
        return self._view(_scope=Scope.of(tenant))  # type: ignore[no-any-return]

    def using(self, connection: Any) -> DripDrop:
        """A view that joins the host's transaction: nothing is visible before the host commits."""
        return self._view(_host=connection)  # type: ignore[no-any-return]

    def _begin(self) -> None:
        self.sequences = _Sequences(self)
        self.enrollments = _Enrollments(self)
        self.executions = _Executions(self)
        self.adapters = _Adapters(self)
        self.hooks = _Hooks(self)
        self.suppressions = _Suppressions(self)
        self.events = _Events(self)
        self.message_events = _MessageEvents(self)
        self.webhooks = _Webhooks(self)
        self.journal = _Journal(self)

    def enroll_many(self, sequence: str, rows: Iterable[Mapping[str, Any]]) -> list[Result]:
        """Enroll a list of `{subscriber, data, metadata, starting_step}`; one result per row, in order.

        In transactions of 5,000 rows; inside the host's transaction (`using`) in that one.
        """
        results: list[Result] = []
        for begin, chunk in chunks(rows):
            done = self._enroll_chunk(sequence, chunk)
            results.extend(done if begin == 0 else (moved(each, begin) for each in done))
        return results

    _enroll_chunk = Sync(enrolling.enroll_many, "default_zone", "scheduler")

    def run_due(self, limit: int | None = None) -> Run:
        """One pass of the engine: what is due now, and what follows from it at once."""
        return self._work("run_due", limit=limit)  # type: ignore[no-any-return]

    def drain(self, until: datetime | None = None) -> Run:
        """Work until nothing is due; with `until`, move a frozen or virtual clock on to each due moment up to it."""
        return self._work("drain", until=until)  # type: ignore[no-any-return]

    def run_worker(self) -> None:
        """Work inside this process until interrupted (or, awaited, cancelled); then stop gently."""
        self._work("run_worker")

    def preview(self, step: Any, *, version: Any = None, sequence: Any = None, **wishes: Unpack[Wishes]) -> Message:
        """The message of a step by the path that sending takes: for `data`, an `enrollment`, a `subscriber`, or nobody.

        `hooks`, `event`, `locale`, `variant` and `now` stand for what sending would find. Raises as rendering does.
        """
        return (self.preview_report(step, version=version, sequence=sequence, **wishes)).message

    def preview_report(
        self, step: Any, *, version: Any = None, sequence: Any = None, **wishes: Unpack[Wishes]
    ) -> Preview:
        """The same with language, variant, missing variables, links, size and warnings."""
        found = self._run(lambda now, scope: person_and_step_of(now, scope, step, version, sequence, wishes))
        return self._look(*found, wishes=wishes)

    def send_test(
        self, step: Any, *, to: str, data: Mapping[str, Any] | None = None, version: Any = None, sequence: Any = None
    ) -> Outcome:
        """Send one message of a step to an address, for real and outside every enrollment."""
        found = self._run(lambda now, scope: step_of(now, scope, step, version, sequence))
        return self._work("send_test", *found[:3], to, data or {}, found[3])  # type: ignore[no-any-return]

    def doctor(self) -> list[Finding]:
        """What is wrong, or not yet right, with this installation."""
        return self._work("doctor")  # type: ignore[no-any-return]

    def setup(self) -> list[int]:
        """Apply the schema; the numbers of the migrations that were missing."""
        return self._work("setup")  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close connections; the embedded server stops with its last user."""
        self._portal.run(self._worker.close())
        self._unserve()
        self._portal.close()
        self._core.close()

    def __enter__(self) -> DripDrop:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self, operation: Callable[[datetime, Scope], Flow[Any]]) -> Any:
        scope = self._scope
        if self._host is not None:
            from dripdrop.store import hosts

            return hosts.run(
                self._host, self._core.config().schema, lambda now: operation(now, scope), clock=self._core.clock
            )
        return self._core.database.run(lambda now: operation(now, scope))

    def _work(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._portal.run(getattr(self._worker, name)(*args, **kwargs))
