-- What providers and mailboxes told, matched to the executions it speaks of.

-- name: correlate
-- For each event the best of its candidates: our own id before a provider's, this adapter's before another's. An adapter
-- of a tenant speaks of that tenant alone; a global one of whoever it sent for.
with given as materialized (
    select * from unnest(%(nth)s::integer[], %(ranks)s::integer[], %(executions)s::uuid[], %(keys)s::text[],
        %(adapters)s::uuid[], %(tenants)s::text[]) as g(nth, rank, execution, key, adapter, tenant)
), named as (
    select g.nth, g.rank, g.execution as id, g.adapter, g.tenant, null::uuid as through, true as own
      from given g where g.execution is not null
    union all
    select g.nth, g.rank, k.execution_id, g.adapter, g.tenant, k.adapter_id, false
      from given g join dripdrop.message_keys k on k.key = g.key
), found as (
    select distinct on (n.nth) n.nth, x.*
      from named n
     cross join lateral (
        select q.id, q.tenant_key, q.enrollment_id, q.step_id, q.kind, q.state::text as state, q.adapter_id, true as live
          from dripdrop.execution_queue q where q.id = n.id
        union all
        select h.id, h.tenant_key, h.enrollment_id, h.step_id, h.kind, h.state::text, h.adapter_id, false
          from dripdrop.execution_history h where h.id = n.id) x
     where x.tenant_key = n.tenant or (n.tenant = '' and (n.own or n.through = n.adapter))
     order by n.nth, n.rank, (n.through is not distinct from n.adapter) desc, x.id desc
)
select f.nth, f.id as execution_id, f.tenant_key, f.enrollment_id, f.state, f.live, s.key as step, s.channel,
       s.config as step_config, e.state as enrollment_state, e.subscriber_type, e.subscriber_id, sq.key as sequence,
       coalesce(v.config ->> 'class', '') = 'transactional' as transactional, v.config as sequence_config,
       not exists (select 1 from dripdrop.steps o
                    where o.sequence_version_id = e.sequence_version_id and o.channel <> s.channel) as only_channel,
       last.recipient, last.finished_at as sent_at, arrived.at as delivered_at
  from found f
  join dripdrop.enrollments e on e.id = f.enrollment_id
  join dripdrop.sequence_versions v on v.id = e.sequence_version_id
  join dripdrop.sequences sq on sq.id = e.sequence_id
  join dripdrop.steps s on s.id = f.step_id
  left join lateral (
    select a.recipient, a.finished_at from dripdrop.delivery_attempts a
     where a.execution_id = f.id order by a.number desc limit 1) last on true
  left join lateral (
    select min(m.occurred_at) as at from dripdrop.message_events m
     where f.nth = any(%(opens)s::integer[]) and m.step_execution_id = f.id and m.event_type = 'delivered') arrived on true;

-- name: answered
-- What these addresses were sent before something came from there, newest first, one row a person: through this adapter
-- before another of the tenant's; a global adapter knows whoever it sent for. What was refused reached nobody.
with given as materialized (
    select * from unnest(%(nth)s::integer[], %(adapters)s::uuid[], %(tenants)s::text[], %(channels)s::text[],
        %(recipients)s::text[], %(moments)s::timestamptz[]) as g(nth, adapter, tenant, channel, recipient, at)
), sent as (
    select g.nth, g.channel, g.adapter, a.*
      from given g
     cross join lateral (
        select d.execution_id, d.adapter_id, d.started_at from dripdrop.delivery_attempts d
         where d.recipient = g.recipient and strpos(d.recipient, '@') = 0 and strpos(d.recipient, '/') = 0
           and d.started_at <= g.at and (d.outcome is null or d.outcome in ('succeeded', 'unknown'))
           and (d.tenant_key = g.tenant or (g.tenant = '' and d.adapter_id = g.adapter))
         order by d.started_at desc
         limit 100) a
), people as (
    select distinct on (s.nth, e.tenant_key, e.subscriber_type, e.subscriber_id)
           s.nth, s.execution_id, s.started_at, s.adapter_id is not distinct from s.adapter as through
      from sent s
     cross join lateral (
        select q.enrollment_id, q.step_id from dripdrop.execution_queue q where q.id = s.execution_id
        union all
        select h.enrollment_id, h.step_id from dripdrop.execution_history h where h.id = s.execution_id) x
      join dripdrop.steps st on st.id = x.step_id and st.channel = s.channel
      join dripdrop.enrollments e on e.id = x.enrollment_id
     order by s.nth, e.tenant_key, e.subscriber_type, e.subscriber_id, through desc, s.started_at desc, s.execution_id desc
)
select p.nth, p.execution_id from people p order by p.nth, p.through desc, p.started_at desc, p.execution_id desc;

-- name: take_in
-- Each event once per adapter: of two that tell the same at the same time the second waits for the first, and finds it.
with given as materialized (
    select * from unnest(%(nth)s::integer[], %(adapters)s::uuid[], %(keys)s::text[], %(tenants)s::text[],
        %(executions)s::uuid[], %(channels)s::text[], %(providers)s::text[], %(message_ids)s::text[], %(event_ids)s::text[],
        %(types)s::text[], %(data)s::text[], %(in_reply_to)s::text[], %(refs)s::text[], %(occurred)s::timestamptz[])
        as g(nth, adapter, key, tenant, execution, channel, provider, message_id, event_id, type, data, in_reply_to, refs,
             occurred)
), single as (
    select distinct on (g.adapter, g.key) g.* from given g order by g.adapter, g.key, g.nth
), fresh as (
    insert into dripdrop.seen_events (adapter_id, event_key, seen_at)
    select s.adapter, s.key, %(now)s::timestamptz from single s order by s.adapter, s.key
    on conflict do nothing
    returning adapter_id, event_key
), noted as (
    insert into dripdrop.message_events (tenant_key, step_execution_id, adapter_id, channel, provider, provider_message_id,
        provider_event_id, event_type, event_data, in_reply_to, references_list, occurred_at, inserted_at)
    select s.tenant, s.execution, s.adapter, s.channel, s.provider, s.message_id, s.event_id,
           s.type::dripdrop.message_event_type, s.data::jsonb, s.in_reply_to,
           case when s.refs is not null then array(select jsonb_array_elements_text(s.refs::jsonb)) end, s.occurred,
           %(now)s::timestamptz
      from single s join fresh f on f.adapter_id = s.adapter and f.event_key = s.key
    returning id, step_execution_id
)
select s.nth from single s join fresh f on f.adapter_id = s.adapter and f.event_key = s.key;

-- name: others_of
-- The other live enrollments of these people that are marketing and speak over one channel alone.
select distinct e.id, e.tenant_key
  from unnest(%(tenants)s::text[], %(types)s::text[], %(subscribers)s::text[], %(channels)s::text[])
       as g(tenant, type, subscriber, channel)
  join dripdrop.enrollments e on e.tenant_key = g.tenant and e.subscriber_type = g.type and e.subscriber_id = g.subscriber
  join dripdrop.sequence_versions v on v.id = e.sequence_version_id
 where e.state in ('active', 'paused') and coalesce(v.config ->> 'class', '') <> 'transactional'
   and not exists (select 1 from dripdrop.steps o
                    where o.sequence_version_id = e.sequence_version_id and o.channel <> g.channel)
 order by e.id;

-- name: put_off_path
-- What waits for its time goes at the return at the earliest; what was due later anyway stays.
with away as (
    select e.id from dripdrop.enrollments e
     where e.id = %(enrollment)s::uuid and e.tenant_key = %(tenant)s::text and e.state = 'active' for no key update
), moved as (
    update dripdrop.execution_queue q set due_at = %(until)s::timestamptz, token = q.token + 1
      from away
     where q.enrollment_id = away.id and q.kind <> 'replay' and q.state = 'scheduled' and q.worker_id is null
       and q.due_at < %(until)s::timestamptz
    returning q.id, q.enrollment_id, q.step_id
), bumped as (
    update dripdrop.enrollments e set seq = e.seq + 1, updated_at = %(now)s::timestamptz
      from moved m where e.id = m.enrollment_id
    returning e.seq, e.tenant_key, m.*
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, execution_id, step_id, event, reasons, at)
    select b.tenant_key, b.enrollment_id, b.seq, b.id, b.step_id, 'deferred', %(reasons)s::jsonb, %(now)s::timestamptz
      from bumped b
)
select b.id from bumped b;

-- name: prove
insert into dripdrop.proofs (execution_id, event_type, provider_message_id, occurred_at)
select distinct on (g.id) g.id, g.type, g.message_id, g.occurred
  from unnest(%(ids)s::uuid[], %(types)s::text[], %(message_ids)s::text[], %(occurred)s::timestamptz[])
    as g(id, type, message_id, occurred)
 order by g.id, g.message_id nulls last
on conflict (execution_id) do nothing;

-- name: proven
-- Those in doubt that are in nobody's hands.
select p.execution_id, q.tenant_key, p.event_type, p.provider_message_id
  from dripdrop.proofs p join dripdrop.execution_queue q on q.id = p.execution_id
 where q.state = 'unknown' and q.worker_id is null
 order by q.enrollment_id
 limit %(limit)s::integer;

-- name: drop_proofs
-- Whatever has ended needs no proof any more.
delete from dripdrop.proofs p
 where not exists (select 1 from dripdrop.execution_queue q where q.id = p.execution_id);
