"""The statements that run for each message find their rows by index, however many, whatever the plan cache does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from tests.conftest import Postgres

from dripdrop.store.statements import Statements

ROWS = 100_000
MANY = 1000
FILLED = (
    "enrollments", "enrollment_data", "execution_queue", "execution_history", "delivery_attempts", "journal",
    "message_keys", "suppressions", "events", "message_events", "seen_events", "webhook_requests",
)  # fmt: skip

# As in the middle of a day: most people wait, some thousand are due, some hundred are in workers' hands.
FILL = f"""
set session_replication_role = replica;
insert into dripdrop.sequences (tenant_key, key, name, inserted_at, updated_at)
select '', 's' || n, 'S', now(), now() from generate_series(1, 20) n;
insert into dripdrop.sequence_versions (sequence_id, tenant_key, version, state, config, inserted_at, updated_at)
select s.id, '', 1, 'active', '{{"exit_on": ["bought"]}}', now(), now() from dripdrop.sequences s;
insert into dripdrop.steps (sequence_version_id, tenant_key, name, key, channel, position, inserted_at, updated_at)
select v.id, '', 'step', 'step' || n, 'email', n, now(), now()
  from dripdrop.sequence_versions v, generate_series(1, 5) n;
insert into dripdrop.workers (name, lease) select 'w' || n, interval '1 minute' from generate_series(1, 3) n;
update dripdrop.workers set heartbeat_at = heartbeat_at - interval '1 hour' where name = 'w3';

create temporary table versions as
select row_number() over (order by v.id) - 1 as place, v.id, v.sequence_id,
       (select min(s.id::text)::uuid from dripdrop.steps s where s.sequence_version_id = v.id) as step_id
  from dripdrop.sequence_versions v;
insert into dripdrop.enrollments (tenant_key, sequence_id, sequence_version_id, subscriber_type, subscriber_id,
    current_step_id, seq, visits, started_at, updated_at)
select '', v.sequence_id, v.id, 'user', (n / 20)::text || '-' || n, v.step_id, 1, 1, now(), now()
  from generate_series(0, {ROWS - 1}) n join versions v on v.place = n %% 20;
insert into dripdrop.enrollment_data select e.id, 1, '{{"email": "somebody@example.org"}}', now()
  from dripdrop.enrollments e;
insert into dripdrop.execution_queue (tenant_key, enrollment_id, step_id, visit, due_at, state, worker_id)
select '', e.id, e.current_step_id, 1,
       case when r.n %% 50 = 0 then now() - interval '1 minute' * (r.n %% 60)
            else now() + interval '1 minute' * r.n end,
       case when r.n %% 333 = 0 then 'claiming' else 'scheduled' end::dripdrop.step_execution_state,
       case when r.n %% 333 = 0 then (select w.id from dripdrop.workers w where w.name = 'w' || (1 + r.n %% 3)) end
  from (select e.*, row_number() over () as n from dripdrop.enrollments e) r join dripdrop.enrollments e on e.id = r.id;
insert into dripdrop.execution_history (id, tenant_key, enrollment_id, step_id, visit, kind, from_state, state, due_at,
    ended_at, attempt, refusals, retries)
select dripdrop.uuid7(), '', e.id, e.current_step_id, 0, 'path', 'sending', 'sent', now(), now(), 1, 0, 0
  from dripdrop.enrollments e;
insert into dripdrop.delivery_attempts (execution_id, number, tenant_key, refusals, started_at, business_at, version_id,
    data_revision)
select q.id, 1, '', 0, now(), now(), e.sequence_version_id, 1
  from dripdrop.execution_queue q join dripdrop.enrollments e on e.id = q.enrollment_id;
insert into dripdrop.journal (tenant_key, enrollment_id, seq, execution_id, event, at)
select '', q.enrollment_id, 1, q.id, 'enrolled', now() from dripdrop.execution_queue q;
insert into dripdrop.message_keys select 'key-' || q.id, q.id, null from dripdrop.execution_queue q;
insert into dripdrop.suppressions
    (tenant_key, channel, recipient, recipient_normalized, reason, inserted_at, updated_at)
select '', 'email', 'p' || n || '@example.org', 'p' || n || '@example.org', 'manual', now(), now()
  from generate_series(1, {ROWS}) n;
insert into dripdrop.events (tenant_key, subscriber_type, subscriber_id, event_key, occurred_at, inserted_at)
select '', e.subscriber_type, e.subscriber_id, 'opened', now(), now() from dripdrop.enrollments e;
insert into dripdrop.message_events
    (tenant_key, step_execution_id, channel, provider, event_type, occurred_at, inserted_at)
select '', q.id, 'email', 'telling', 'delivered', now(), now() from dripdrop.execution_queue q;
insert into dripdrop.seen_events select gen_random_uuid(), 'event-' || n, now() - interval '1 second' * ({ROWS} - n)
  from generate_series(1, {ROWS}) n;
insert into dripdrop.webhook_requests (tenant_key, adapter_id, provider, state, body, due_at, received_at)
select '', gen_random_uuid(), 'telling', case when n %% 100 = 0 then 'stored' else 'processed' end, '[]', now(),
       now() - interval '1 second' * ({ROWS} - n)
  from generate_series(1, {ROWS}) n;
set session_replication_role = origin;
analyze;
"""


@dataclass(frozen=True)
class Hot:
    """A statement and the indexes it must go by, each named without its partition."""

    aggregate: str
    name: str
    indexes: tuple[str, ...]

    @property
    def text(self) -> str:
        return Statements(self.aggregate).texts[self.name]

    def __str__(self) -> str:
        return f"{self.aggregate}.{self.name}"


QUEUE, PEOPLE, DATA, ATTEMPTS = (
    "execution_queue_pkey",
    "enrollments_pkey",
    "enrollment_data_pkey",
    "delivery_attempts_pkey",
)
PATH, REPLAYS = "execution_queue_one_live", "execution_queue_replays"
HOT = [
    Hot("executions", "claim", ("execution_queue_due", PEOPLE, DATA)),
    Hot("executions", "claim_one", (QUEUE, PEOPLE, DATA)),
    Hot("executions", "take_over", ("execution_queue_held", PEOPLE, DATA)),
    Hot("executions", "held_by", ("execution_queue_held",)),
    Hot("executions", "take_again", (QUEUE, PEOPLE, DATA)),
    Hot("executions", "lock_enrollments", (PEOPLE, DATA)),
    Hot("executions", "open_many", (QUEUE, PEOPLE)),
    Hot("executions", "still_held", (QUEUE,)),
    Hot("executions", "landed", (QUEUE,)),
    Hot("executions", "end_many", (QUEUE, PEOPLE, ATTEMPTS)),
    Hot("executions", "requeue_many", (QUEUE, PEOPLE, ATTEMPTS)),
    Hot("executions", "defer_many", (QUEUE, PEOPLE)),
    Hot("executions", "hand_back", (QUEUE, PEOPLE)),
    Hot("executions", "attempts_since", (ATTEMPTS,)),
    Hot("executions", "last_attempts", (QUEUE, ATTEMPTS)),
    Hot("executions", "hold_one", (QUEUE, PEOPLE)),
    Hot("executions", "enrollment_of", (QUEUE,)),
    Hot("executions", "replay", (PEOPLE,)),
    Hot("executions", "live_of", (PATH, REPLAYS)),
    Hot("executions", "forget_jobs", (PATH, REPLAYS)),
    Hot("executions", "next_due", ("execution_queue_due",)),
    Hot("executions", "pending", ("execution_queue_due", "execution_queue_held")),
    Hot("enrollments", "insert_many", ()),
    Hot("enrollments", "begin_many", ()),
    Hot("enrollments", "standing", ("enrollments_subscriber",)),
    Hot("enrollments", "get", (PEOPLE, DATA)),
    Hot("enrollments", "lock", (PEOPLE, DATA)),
    Hot("enrollments", "pause", (PEOPLE, PATH, REPLAYS, QUEUE)),
    Hot("enrollments", "resume", (PEOPLE, PATH, REPLAYS, QUEUE)),
    Hot("enrollments", "leave_many", (PEOPLE, PATH, REPLAYS, QUEUE)),
    Hot("enrollments", "complete_if_idle", (PEOPLE, PATH)),
    Hot("enrollments", "update_data", (PEOPLE,)),
    Hot("enrollments", "move", (PEOPLE, PATH)),
    Hot("events", "record_many", (PEOPLE,)),
    Hot("events", "exits", ("events_pkey", "enrollments_subscriber")),
    Hot("events", "data_of", ("events_pkey",)),
    Hot("events", "of_enrollments", (PEOPLE, "events_subscriber")),
    Hot("waits", "watch", (PATH,)),
    Hot("waits", "concerned", ("events_pkey", "enrollments_subscriber", PATH)),
    Hot("waits", "look_back", (PATH, PEOPLE, "events_subscriber", QUEUE)),
    Hot("waits", "note", ()),
    Hot("waits", "settled", ()),
    Hot("waits", "hear", ("events_pkey",)),
    Hot("executions", "repeats", ("execution_history_enrollment_id_idx",)),
    Hot("executions", "put_off_before", (QUEUE, PEOPLE, "journal_enrollment_id_seq_ordinal_idx")),
    Hot("suppressions", "lookup", ("suppressions_once",)),
    Hot("suppressions", "page", ("suppressions_once",)),
    Hot(
        "feedback",
        "correlate",
        (
            "message_keys_pkey",
            QUEUE,
            "execution_history_pkey",
            PEOPLE,
            ATTEMPTS,
            "message_events_step_execution_id_idx",
        ),
    ),
    Hot(
        "feedback",
        "answered",
        ("delivery_attempts_recipient_started_at_idx", QUEUE, "execution_history_pkey", PEOPLE),
    ),
    Hot("feedback", "take_in", ()),
    Hot("feedback", "others_of", ("enrollments_subscriber",)),
    Hot("inbox", "claim", ("webhook_requests_due",)),
    Hot("inbox", "finish", ()),
    Hot("journal", "of_enrollment", ("journal_enrollment_id_seq_ordinal_idx",)),
    Hot("reports", "standing", (PEOPLE,)),
    Hot("reports", "live", (PATH, REPLAYS)),
    Hot("reports", "attempts_of_enrollment", (PATH, REPLAYS, ATTEMPTS)),
    Hot("workers", "heartbeat", ()),
    Hot("workers", "farewell", ("execution_queue_held",)),
]


@pytest.fixture(scope="module")
def crowd(postgres: Postgres, migrated_template: str) -> Iterator[psycopg.Connection[Any]]:
    with (
        postgres.database(migrated_template) as name,
        psycopg.connect(postgres.url_of(name), autocommit=True) as connection,
    ):
        connection.execute(FILL.replace("%%", "%").encode())
        yield connection


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def without_partition(name: str) -> str:
    """`delivery_attempts_y2026m11_pkey` is `delivery_attempts_pkey`."""
    return re.sub(r"_(y\d+m\d+|default)(?=_|$)", "", name)


def plan_of(connection: psycopg.Connection[Any], hot: Hot, mode: str) -> list[Mapping[str, Any]]:
    """The nodes of its plan. The generic one knows nothing of the parameters; the other one knows these."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", hot.text)))
    text = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", hot.text).replace("%%", "%")
    connection.execute(f"set plan_cache_mode = force_{mode}_plan".encode())
    connection.execute(f"prepare asked as {text}".encode())
    try:
        given = ", ".join(sample(connection, hot, name) for name in names)
        row = connection.execute(f"explain (format json) execute asked({given})".encode()).fetchone()
    finally:
        connection.execute("deallocate asked")
    assert row is not None
    return list(nodes(row[0][0]["Plan"]))


def sample(connection: psycopg.Connection[Any], hot: Hot, name: str) -> str:
    """A value for a parameter, as its cast wants it; a hundred where there are many."""
    casts = re.search(rf"%\({name}\)s::([a-z_. ]+?)(\[\])?(?![a-z_.\[])", hot.text)
    assert casts is not None, f"{hot}: %({name})s has no cast"
    kind, many = casts[1].strip(), casts[2]
    if kind == "text" and name in ("tenant", "tenants"):
        return "array_fill(''::text, array[100])" if many else "''"
    if kind == "uuid":
        table = "sequences" if name == "sequence_id" else "execution_queue" if name in ("id", "ids") else "enrollments"
        if hot.aggregate == "enrollments" and name in ("id", "ids"):
            table = "enrollments"
        rows = connection.execute(f"select id from dripdrop.{table} order by id limit 100".encode()).fetchall()
        ids = [str(key) for (key,) in rows]
        return f"'{{{','.join(ids)}}}'" if many else f"'{ids[0]}'"
    plain = {"timestamptz": f"{datetime.now(UTC)}", "integer": "100", "bigint": "0", "boolean": "false", "jsonb": "[]",
             "interval": "1 minute", "bytea": "",
             "dripdrop.step_execution_state": "waiting"}.get(kind, "active")  # fmt: skip
    return f"""'{{{",".join([f'"{plain}"'] * 100)}}}'""" if many else f"'{plain}'"


@pytest.mark.parametrize("mode", ["generic", "custom"])
@pytest.mark.parametrize("hot", HOT, ids=str)
def test_a_hot_statement_reads_no_big_table_through(crowd: psycopg.Connection[Any], hot: Hot, mode: str) -> None:
    found = plan_of(crowd, hot, mode)
    big = {
        name
        for (name,) in crowd.execute(
            "select relname from pg_class where relnamespace = 'dripdrop'::regnamespace and reltuples > %s", [MANY]
        ).fetchall()
    }
    read_through = [node["Relation Name"] for node in found if "Seq Scan" in node["Node Type"]]
    used = {without_partition(node["Index Name"]) for node in found if "Index Name" in node}
    assert not [name for name in read_through if name in big]
    assert set(hot.indexes) <= used, used


def test_the_crowd_is_one(crowd: psycopg.Connection[Any]) -> None:
    for table in FILLED:
        assert crowd.execute(f"select count(*) from dripdrop.{table}".encode()).fetchone() == (ROWS,)
