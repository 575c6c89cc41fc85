"""A desk for operations: one database, one moment, rows written by hand where a test needs a past."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import orjson
import psycopg

from dripdrop.store.flow import Flow
from dripdrop.store.runners import run_sync
from dripdrop.store.scope import GLOBAL, Scope

T = TypeVar("T")
NOW = datetime(2030, 3, 1, 9, tzinfo=UTC)
ACME = Scope("acme")


class Desk:
    """Runs flows on one connection, and writes rows that other operations would have written."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.seq: dict[UUID, int] = {}

    def do(self, flow: Flow[T]) -> T:
        with self.connection.transaction():
            return run_sync(self.connection, flow)

    def ask(self, text: str, **params: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(text.encode(), params)
        return cursor.fetchall() if cursor.description else []

    def one(self, text: str, **params: Any) -> Any:
        return self.ask(text, **params)[0][0]

    def sequence(self, key: str, *steps: str, tenant: str = "", config: Mapping[str, Any] | None = None) -> UUID:
        """An active version 1 with these e-mail steps; the sequence's id."""
        sequence: UUID = self.one(
            "insert into dripdrop.sequences (tenant_key, key, name, inserted_at, updated_at)"
            " values (%(tenant)s, %(key)s, %(key)s, %(now)s, %(now)s) returning id",
            tenant=tenant, key=key, now=NOW,
        )  # fmt: skip
        version = self.one(
            "insert into dripdrop.sequence_versions"
            " (sequence_id, tenant_key, version, config, inserted_at, updated_at)"
            " values (%(id)s, %(tenant)s, 1, %(config)s::jsonb, %(now)s, %(now)s) returning id",
            id=sequence, tenant=tenant, now=NOW, config=orjson.dumps(config or {}).decode(),
        )  # fmt: skip
        for step in steps:
            self.ask(
                "insert into dripdrop.steps"
                " (sequence_version_id, tenant_key, name, key, channel, inserted_at, updated_at)"
                " values (%(id)s, %(tenant)s, %(step)s, %(step)s, 'email', %(now)s, %(now)s)",
                id=version, tenant=tenant, step=step, now=NOW,
            )  # fmt: skip
        self.ask("update dripdrop.sequence_versions set state = 'active' where id = %(id)s", id=version)
        return sequence

    def enroll(
        self, sequence: UUID, name: str = "42", *, tenant: str = "", at: datetime = NOW,
        data: Mapping[str, Any] | None = None,
    ) -> UUID:  # fmt: skip
        """An active enrollment without any execution yet."""
        enrollment: UUID = self.one(
            "insert into dripdrop.enrollments (tenant_key, sequence_id, sequence_version_id, subscriber_type,"
            " subscriber_id, started_at, updated_at)"
            " select %(tenant)s, v.sequence_id, v.id, 'user', %(name)s, %(at)s, %(at)s"
            "   from dripdrop.sequence_versions v where v.sequence_id = %(sequence)s returning id",
            tenant=tenant, name=name, sequence=sequence, at=at,
        )  # fmt: skip
        self.ask(
            "insert into dripdrop.enrollment_data values (%(id)s, 1, %(data)s::jsonb, %(at)s)",
            id=enrollment, data=orjson.dumps(data or {}).decode(), at=at,
        )  # fmt: skip
        self.tell(enrollment, "enrolled", at=at, reasons=[{"code": "enrolled"}])
        return enrollment

    def step_id(self, enrollment: UUID, step: str) -> UUID:
        found: UUID = self.one(
            "select s.id from dripdrop.steps s join dripdrop.enrollments e"
            " on e.sequence_version_id = s.sequence_version_id where e.id = %(id)s and s.key = %(step)s",
            id=enrollment, step=step,
        )  # fmt: skip
        return found

    def queue(
        self, enrollment: UUID, step: str, *, due: datetime | None, state: str = "scheduled", visit: int = 1,
        **more: Any,
    ) -> UUID:  # fmt: skip
        """A live execution, brought into its state the way the database allows."""
        begin = "waiting" if state == "waiting" else "scheduled"
        execution: UUID = self.one(
            "insert into dripdrop.execution_queue"
            " (tenant_key, enrollment_id, step_id, visit, state, due_at, kind, of_id)"
            " select e.tenant_key, e.id, %(step)s, %(visit)s, %(state)s::dripdrop.step_execution_state,"
            " coalesce(%(due)s::timestamptz, 'infinity'), %(kind)s::dripdrop.execution_kind, %(of)s"
            " from dripdrop.enrollments e where e.id = %(id)s returning id",
            id=enrollment, step=self.step_id(enrollment, step), visit=visit, state=begin, due=due,
            kind=more.get("kind", "path"), of=more.get("of_id"),
        )  # fmt: skip
        ways = {
            "claiming": ["claiming"],
            "sending": ["claiming", "sending"],
            "unknown": ["claiming", "sending", "unknown"],
            "failed": ["claiming", "failed"],
        }
        for to in ways.get(state, []):
            self.ask(
                "update dripdrop.execution_queue set state = %(to)s::dripdrop.step_execution_state,"
                " worker_id = case when %(to)s in ('claiming', 'sending') then gen_random_uuid() end where id = %(id)s",
                id=execution, to=to,
            )  # fmt: skip
        return execution

    def ended(
        self, enrollment: UUID, step: str, state: str = "sent", *, at: datetime = NOW, reason: str | None = None,
        visit: int = 1, reasons: list[Mapping[str, Any]] | None = None, attempts: int = 1,
    ) -> UUID:  # fmt: skip
        """An execution that has ended, with its attempts and its line of the journal."""
        execution: UUID = self.one(
            "insert into dripdrop.execution_history (id, tenant_key, enrollment_id, step_id, visit, kind, from_state,"
            " state, reason, due_at, ended_at, attempt, refusals, retries)"
            " select dripdrop.uuid7(), e.tenant_key, e.id, %(step)s, %(visit)s, 'path',"
            " %(was)s::dripdrop.step_execution_state, %(state)s::dripdrop.step_execution_state, %(reason)s, %(at)s,"
            " %(at)s, %(attempts)s, 0, 0 from dripdrop.enrollments e where e.id = %(id)s returning id",
            id=enrollment, step=self.step_id(enrollment, step), visit=visit, state=state, reason=reason, at=at,
            was="sending" if state in ("sent", "failed") else "scheduled", attempts=attempts,
        )  # fmt: skip
        if state in ("sent", "failed"):
            for number in range(1, attempts + 1):
                last = number == attempts
                outcome = ("succeeded" if state == "sent" else "rejected") if last else "failed"
                self.attempt(execution, number, outcome, at=at - timedelta(minutes=attempts - number))
        self.tell(enrollment, state, at=at, execution=execution, step=step, reasons=reasons or [], to=state)
        return execution

    def attempt(
        self, execution: UUID, number: int, outcome: str | None, *, at: datetime = NOW,
        recipient: str = "ann@example.org",
    ) -> None:  # fmt: skip
        self.ask(
            "insert into dripdrop.delivery_attempts (execution_id, number, tenant_key, refusals, recipient, started_at,"
            " business_at, version_id, data_revision, finished_at, outcome, provider_response)"
            " select %(id)s, %(number)s, x.tenant_key, 0, %(recipient)s, %(at)s, %(at)s, x.id, 1,"
            " case when %(outcome)s::text is not null then %(at)s::timestamptz end,"
            " %(outcome)s::dripdrop.attempt_outcome, '{\"status\": 200}' from"
            " (select tenant_key, id from dripdrop.execution_queue where id = %(id)s union all"
            "  select tenant_key, id from dripdrop.execution_history where id = %(id)s) x",
            id=execution, number=number, outcome=outcome, at=at, recipient=recipient,
        )  # fmt: skip

    def tell(
        self, enrollment: UUID, event: str, *, at: datetime = NOW, execution: UUID | None = None,
        step: str | None = None, reasons: list[Mapping[str, Any]] | None = None, to: str | None = None, times: int = 1,
    ) -> None:  # fmt: skip
        self.seq[enrollment] = self.seq.get(enrollment, 0) + 1
        self.ask(
            "insert into dripdrop.journal"
            " (tenant_key, enrollment_id, seq, execution_id, step_id, event, to_state, reasons, at, times, last_at)"
            " select e.tenant_key, e.id, %(seq)s, %(execution)s::uuid, %(step)s::uuid, %(event)s, %(to)s,"
            " %(reasons)s::jsonb, %(at)s, %(times)s, %(at)s from dripdrop.enrollments e where e.id = %(id)s",
            id=enrollment, seq=self.seq[enrollment], execution=execution, event=event, to=to, at=at, times=times,
            step=self.step_id(enrollment, step) if step else None, reasons=orjson.dumps(reasons or []).decode(),
        )  # fmt: skip

    def state(self, enrollment: UUID, state: str, *, at: datetime = NOW, reason: str | None = None) -> None:
        column = {"completed": "completed_at", "cancelled": "cancelled_at"}.get(state, "updated_at")
        self.ask(
            f"update dripdrop.enrollments set state = %(state)s::dripdrop.enrollment_state, {column} = %(at)s,"
            " reason = %(reason)s where id = %(id)s",
            id=enrollment, state=state, at=at, reason=reason,
        )  # fmt: skip


@contextmanager
def at_desk(url: str) -> Iterator[Desk]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield Desk(connection)


__all__ = ["ACME", "GLOBAL", "NOW", "Desk", "at_desk"]
