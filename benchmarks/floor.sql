-- The floor: what the batched statements of a step cost PostgreSQL with no Python in the loop, on tables of their own
-- that never follow the product's. Each part runs once per batch of 100, in a transaction a statement.
--
-- `full` is claim; open an attempt with its recipe; close it, advance the enrollment and its queue row, and write
-- history and one journal row. Columns are what each of these must record, in the narrowest types.
-- `bare` is claim, advance of the queue row and history, on tables without anything else.

-- name: full_tables
create schema floor;
create table floor.enrollments (
    id uuid primary key,
    tenant_key text not null default '',
    step_id uuid not null,
    seq integer not null default 0,
    visits integer not null default 1,
    updated_at timestamptz not null
) with (fillfactor = 75);
create table floor.queue (
    id uuid primary key default uuidv7(),
    tenant_key text not null default '',
    enrollment_id uuid not null,
    step_id uuid not null,
    visit integer not null,
    state smallint not null default 0,
    due_at timestamptz not null,
    worker_id integer,
    token bigint not null default 0,
    attempt integer not null default 0
) with (fillfactor = 60);
create unique index queue_one_live on floor.queue (enrollment_id);
create index queue_due on floor.queue (due_at) where worker_id is null;
create table floor.history (
    id uuid primary key,
    tenant_key text not null,
    enrollment_id uuid not null,
    step_id uuid not null,
    visit integer not null,
    state smallint not null,
    due_at timestamptz not null,
    ended_at timestamptz not null
);
create index history_enrollment on floor.history (enrollment_id);
create table floor.attempts (
    execution_id uuid not null,
    number integer not null,
    tenant_key text not null,
    started_at timestamptz not null,
    version_id uuid not null,
    data_revision integer not null,
    digest bytea not null,
    finished_at timestamptz,
    outcome smallint,
    primary key (execution_id, number)
);
create table floor.journal (
    id uuid not null default uuidv7(),
    tenant_key text not null,
    enrollment_id uuid not null,
    seq integer not null,
    execution_id uuid not null,
    event smallint not null,
    from_state smallint not null,
    to_state smallint not null,
    reasons jsonb not null default '[]',
    at timestamptz not null
);
create index journal_enrollment on floor.journal (enrollment_id, seq);

-- name: full_rows
insert into floor.enrollments (id, step_id, updated_at)
select uuidv7(), '00000000-0000-7000-8000-000000000001', timestamptz '2030-01-01 11:00+00'
  from generate_series(1, %(rows)s) n;
insert into floor.queue (enrollment_id, step_id, visit, due_at)
select id, step_id, 1, timestamptz '2030-01-01 11:00+00' + make_interval(secs => (row_number() over ()) * 0.001)
  from floor.enrollments;

-- name: full
with due as (
    select ctid from floor.queue where worker_id is null and due_at <= timestamptz '2030-01-01 12:00+00'
     order by due_at limit 100 for update skip locked
), claimed as (
    update floor.queue q set state = 1, worker_id = :client_id, token = token + 1
     where q.ctid = any (array(select ctid from due)) returning q.id
)
select array_agg(id) as ids from claimed \gset

with opened as (
    update floor.queue q set state = 2, token = token + 1, attempt = attempt + 1
     where q.id = any (:ids::uuid[]) and q.state = 1 and q.worker_id = :client_id
 returning q.id, q.attempt, q.tenant_key, q.step_id
)
insert into floor.attempts (execution_id, number, tenant_key, started_at, version_id, data_revision, digest)
select id, attempt, tenant_key, clock_timestamp(), step_id, 1, uuid_send(id) || uuid_send(id) from opened;

with closed as (
    update floor.attempts a set finished_at = clock_timestamp(), outcome = 1
     where a.execution_id = any (:ids::uuid[]) and a.number = 1
), gone as (
    delete from floor.queue q where q.id = any (:ids::uuid[]) and q.state = 2 and q.worker_id = :client_id returning q.*
), ended as (
    insert into floor.history (id, tenant_key, enrollment_id, step_id, visit, state, due_at, ended_at)
    select id, tenant_key, enrollment_id, step_id, visit, 3, due_at, clock_timestamp() from gone
), advanced as (
    update floor.enrollments e
       set seq = e.seq + 1, visits = e.visits + 1, step_id = '00000000-0000-7000-8000-000000000002',
           updated_at = clock_timestamp()
      from gone where e.id = gone.enrollment_id
 returning e.id, e.seq, e.step_id, e.visits, gone.id as execution_id, gone.tenant_key, gone.due_at
), told as (
    insert into floor.journal (tenant_key, enrollment_id, seq, execution_id, event, from_state, to_state, at)
    select tenant_key, id, seq, execution_id, 1, 2, 3, clock_timestamp() from advanced
)
insert into floor.queue (tenant_key, enrollment_id, step_id, visit, due_at)
select tenant_key, id, step_id, visits, due_at + interval '1 day' from advanced;

-- name: bare_tables
create schema floor;
create table floor.queue (
    id uuid primary key default uuidv7(),
    enrollment_id uuid not null,
    step integer not null,
    state smallint not null default 0,
    due_at timestamptz not null,
    worker_id integer,
    token integer not null default 0
) with (fillfactor = 70);
create index queue_due on floor.queue (due_at) where worker_id is null;
create table floor.history (
    id uuid primary key,
    enrollment_id uuid not null,
    step integer not null,
    state smallint not null,
    due_at timestamptz not null,
    ended_at timestamptz not null
);

-- name: bare_rows
insert into floor.queue (enrollment_id, step, due_at)
select uuidv7(), 1, timestamptz '2030-01-01 11:00+00' + make_interval(secs => n * 0.001)
  from generate_series(1, %(rows)s) n;

-- name: bare
with due as (
    select ctid from floor.queue where worker_id is null and due_at <= timestamptz '2030-01-01 12:00+00'
     order by due_at limit 100 for update skip locked
), claimed as (
    update floor.queue q set state = 1, worker_id = :client_id, token = token + 1
     where q.ctid = any (array(select ctid from due)) returning q.id
)
select array_agg(id) as ids from claimed \gset

with gone as (
    delete from floor.queue q where q.id = any (:ids::uuid[]) and q.state = 1 and q.worker_id = :client_id returning q.*
), ended as (
    insert into floor.history (id, enrollment_id, step, state, due_at, ended_at)
    select id, enrollment_id, step, 3, due_at, clock_timestamp() from gone
)
insert into floor.queue (enrollment_id, step, due_at)
select enrollment_id, step + 1, due_at + interval '1 day' from gone;
