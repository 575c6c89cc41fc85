-- deployment: pre
-- What comes back: how a suppression came and went, proofs for executions in doubt, calls owed to the host.

alter type dripdrop.message_event_type add value if not exists 'blocked';

-- Append-only. `occurred_at` is when it happened, `inserted_at` when it was written: a wish that arrives late must not
-- undo a later one.
create table dripdrop.suppression_history (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    channel text not null,
    recipient_normalized text not null,
    topic text not null default '',
    action text not null check (action in ('added', 'lifted', 'resubscribed')),
    reason dripdrop.suppression_reason,
    source text,
    occurred_at timestamptz not null,
    inserted_at timestamptz not null,
    constraint suppression_history_reason check (action <> 'added' or reason is not null)
);
create index suppression_history_recipient
    on dripdrop.suppression_history (tenant_key, channel, recipient_normalized, topic, occurred_at);

-- The provider had the message, says feedback that came while nobody knew it yet.
create table dripdrop.proofs (
    execution_id uuid primary key,
    event_type text not null,
    provider_message_id text,
    occurred_at timestamptz not null
);

-- A call that the host is owed, written with what caused it; made at least once.
create table dripdrop.callbacks (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    name text not null,
    state text not null default 'waiting' check (state in ('waiting', 'failed')),
    payload jsonb not null,
    retries integer not null default 0,
    due_at timestamptz not null,
    reason text,
    inserted_at timestamptz not null
);
create index callbacks_due on dripdrop.callbacks (due_at) where state = 'waiting';

create index webhook_requests_tenant on dripdrop.webhook_requests (tenant_key, id);

-- Old rows are found by age when they are forgotten; they stand in the order in which they came.
create index seen_events_age on dripdrop.seen_events using brin (seen_at);
create index webhook_requests_age on dripdrop.webhook_requests using brin (received_at);
create index suppression_history_age on dripdrop.suppression_history using brin (inserted_at);

-- As before, with every word of the delivery status.
create or replace view dripdrop.step_executions as
select x.id, x.enrollment_id, x.step_id, nullif(x.tenant_key, '') as tenant_key, x.state, x.visit, x.kind, x.of_id,
       x.due_at as scheduled_for,
       last.started_at as claimed_at,
       case when x.state = 'sent' then coalesce(last.finished_at, x.ended_at) end as executed_at,
       case when x.state = 'failed' then coalesce(last.finished_at, x.ended_at) end as failed_at,
       x.retries as retry_count, x.refusals as attempt_window, x.attempt as attempts,
       x.id::text || ':' || x.refusals as idempotency_key,
       job.job_id as scheduler_job_id, job.backend as scheduler_backend,
       s.channel, last.recipient, last.provider_response as response, last.provider_message_id,
       coalesce(x.adapter_id, last.adapter_id) as adapter_id, x.worker_id, x.ended_at, x.reason, x.reason as error_message,
       case when told.status is not null then told.status when x.state = 'sent' then 'accepted' end as delivery_status
  from (
    select id, enrollment_id, step_id, tenant_key, state, visit, kind, of_id, due_at, retries, refusals, attempt, adapter_id,
           worker_id, null::timestamptz as ended_at, null::text as reason
      from dripdrop.execution_queue where kind <> 'advance'
    union all
    select id, enrollment_id, step_id, tenant_key, state, visit, kind, of_id, due_at, retries, refusals, attempt, adapter_id,
           null::uuid, ended_at, reason
      from dripdrop.execution_history where kind <> 'advance'
  ) x
  left join dripdrop.steps s on s.id = x.step_id
  left join lateral (
    select a.* from dripdrop.delivery_attempts a where a.execution_id = x.id order by a.number desc limit 1) last on true
  left join lateral (
    select j.job_id, j.backend from dripdrop.scheduler_jobs j where j.execution_id = x.id limit 1) job on true
  -- A status only moves to the right: rules/effects.py holds the same table.
  cross join (select array['accepted', 'sent', 'deferred', 'delivered', 'failed', 'rejected', 'blocked', 'bounced',
                           'complained'] as forward) order_
  left join lateral (
    select m.event_type::text as status from dripdrop.message_events m
     where m.step_execution_id = x.id and m.event_type::text = any(order_.forward)
     order by array_position(order_.forward, m.event_type::text) desc
     limit 1) told on true;
