-- Lists and counts for people. The page is picked by id first; only then are its rows completed.

-- name: executions
with picked as materialized (
    select x.* from (
        select q.id, q.tenant_key, q.enrollment_id, q.step_id, q.visit, q.kind, q.of_id, q.state, q.due_at, q.attempt,
               q.refusals, q.retries, q.adapter_id, null::timestamptz as ended_at, null::text as reason
          from dripdrop.execution_queue q
         where q.tenant_key = %(tenant)s::text and q.kind <> 'advance'
        union all
        select h.id, h.tenant_key, h.enrollment_id, h.step_id, h.visit, h.kind, h.of_id, h.state, h.due_at, h.attempt,
               h.refusals, h.retries, h.adapter_id, h.ended_at, h.reason
          from dripdrop.execution_history h
         where h.tenant_key = %(tenant)s::text and h.kind <> 'advance') x
     where (%(ids)s::uuid[] is null or x.id = any(%(ids)s::uuid[]))
       and (%(state)s::text is null or x.state = %(state)s::dripdrop.step_execution_state)
       and (%(enrollment)s::uuid is null or x.enrollment_id = %(enrollment)s::uuid)
       and (%(sequence)s::text is null or exists (
            select 1 from dripdrop.enrollments e join dripdrop.sequences s on s.id = e.sequence_id
             where e.id = x.enrollment_id and (s.key = %(sequence)s::text or s.id::text = %(sequence)s::text)))
       and (%(after)s::uuid is null or x.id < %(after)s::uuid)
     order by x.id desc
     limit %(limit)s::integer
)
select p.id, p.tenant_key, p.enrollment_id, p.step_id, p.visit, p.kind, p.of_id, p.state, p.ended_at, p.reason,
       p.attempt, p.refusals, p.retries, case when isfinite(p.due_at) then p.due_at end as scheduled_for,
       st.key as step, st.name as step_name, st.channel, sq.key as sequence, e.subscriber_type, e.subscriber_id,
       coalesce(p.adapter_id, last.adapter_id) as adapter_id, last.recipient, last.provider_message_id,
       coalesce(own.key, case when st.channel = 'email' and strpos(last.provider_message_id, '@') > 0
                              then '<' || trim(both '<>' from last.provider_message_id) || '>' end) as out_message_id,
       told.status as delivery_status
  from picked p
  join dripdrop.enrollments e on e.id = p.enrollment_id
  join dripdrop.sequences sq on sq.id = e.sequence_id
  left join dripdrop.steps st on st.id = p.step_id
  left join lateral (
    select a.adapter_id, a.recipient, a.provider_message_id from dripdrop.delivery_attempts a
     where a.execution_id = p.id order by a.number desc limit 1) last on true
  left join lateral (
    select a.provider_response ->> 'message_id' as key from dripdrop.delivery_attempts a
     where a.execution_id = p.id and a.provider_response ? 'message_id' order by a.number desc limit 1) own on true
  left join lateral (
    select v.delivery_status as status from dripdrop.step_executions v where v.id = p.id) told on true
 order by p.id desc;

-- name: attempts
select a.execution_id, a.number, a.outcome, a.error_class, a.provider_response, a.adapter_id, c.name as adapter,
       a.provider_message_id, a.recipient, a.started_at, a.business_at, a.finished_at
  from dripdrop.delivery_attempts a
  left join dripdrop.channel_adapters c on c.id = a.adapter_id
 where a.execution_id = any(%(ids)s::uuid[]) and a.tenant_key = %(tenant)s::text
 order by a.execution_id, a.number;

-- name: message_events
select m.id, m.tenant_key, m.step_execution_id as execution_id, m.adapter_id, m.channel, m.provider,
       m.provider_message_id, m.provider_event_id, m.event_type, m.event_data, m.occurred_at, m.inserted_at
  from dripdrop.message_events m
 where m.tenant_key = %(tenant)s::text
   and (%(executions)s::uuid[] is null or m.step_execution_id = any(%(executions)s::uuid[]))
   and (%(event_type)s::text is null or m.event_type = %(event_type)s::dripdrop.message_event_type)
   and (%(after)s::uuid is null or m.id < %(after)s::uuid)
 order by m.id desc
 limit %(limit)s::integer;

-- name: events
select v.id, v.tenant_key, v.enrollment_id, v.subscriber_type, v.subscriber_id, v.event_key, v.event_data,
       v.occurred_at, v.inserted_at
  from dripdrop.events v
 where v.tenant_key = %(tenant)s::text
   and (%(subscriber_type)s::text is null or v.subscriber_type = %(subscriber_type)s::text)
   and (%(subscriber_id)s::text is null or v.subscriber_id = %(subscriber_id)s::text)
   and (%(enrollment)s::uuid is null or v.enrollment_id = %(enrollment)s::uuid)
   and (%(event)s::text is null or v.event_key = %(event)s::text)
   and (%(after)s::uuid is null or v.id < %(after)s::uuid)
 order by v.id desc
 limit %(limit)s::integer;

-- name: enrollments
select e.*, d.data, s.key as sequence_key
  from dripdrop.enrollments e
  join dripdrop.sequences s on s.id = e.sequence_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision
 where e.tenant_key = %(tenant)s::text
   and (%(id)s::uuid is null or e.id = %(id)s::uuid)
   and (%(state)s::text is null or e.state = %(state)s::dripdrop.enrollment_state)
   and (%(sequence)s::text is null or s.key = %(sequence)s::text or s.id::text = %(sequence)s::text)
   and (%(subscriber_type)s::text is null or e.subscriber_type = %(subscriber_type)s::text)
   and (%(subscriber_id)s::text is null or e.subscriber_id = %(subscriber_id)s::text)
   and (%(after)s::uuid is null or e.id < %(after)s::uuid)
 order by e.id desc
 limit %(limit)s::integer;

-- name: standing
-- Everything `explain` says about an enrollment that is not in its journal.
select e.id, e.tenant_key, e.sequence_id, s.key as sequence, s.active as sequence_active, s.metadata as sequence_metadata,
       v.config, e.subscriber_type, e.subscriber_id, e.state, e.reason, e.remaining, d.data,
       here.key as current_step, e.started_at, e.completed_at, e.cancelled_at, e.updated_at
  from dripdrop.enrollments e
  join dripdrop.sequences s on s.id = e.sequence_id
  join dripdrop.sequence_versions v on v.id = e.sequence_version_id
  left join dripdrop.steps here on here.id = e.current_step_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision
 where e.id = %(enrollment)s::uuid and e.tenant_key = %(tenant)s::text;

-- name: live
select q.id, q.kind, q.state, case when isfinite(q.due_at) then q.due_at end as due_at, q.attempt, q.retries,
       coalesce(q.adapter_id, st.adapter_override_id, st.channel_adapter_id, (
            select a.id from dripdrop.channel_adapters a
             where a.tenant_key in ('', q.tenant_key) and a.channel = st.channel and a.is_default and a.active
             order by a.tenant_key desc limit 1)) as adapter_id,
       st.key as step, st.channel, st.timing, st.active as step_active
  from (select p.* from dripdrop.execution_queue p
         where p.enrollment_id = %(enrollment)s::uuid and p.kind <> 'replay'
        union all
        select r.* from dripdrop.execution_queue r
         where r.enrollment_id = %(enrollment)s::uuid and r.kind = 'replay') q
  left join dripdrop.steps st on st.id = q.step_id
 where q.tenant_key = %(tenant)s::text
 order by q.kind = 'replay', q.id;

-- name: attempts_of_enrollment
select a.execution_id, a.number, a.outcome, a.error_class, a.adapter_id, c.name as adapter, a.recipient,
       a.started_at, a.finished_at
  from (select q.id from dripdrop.execution_queue q
         where q.enrollment_id = %(enrollment)s::uuid and q.tenant_key = %(tenant)s::text and q.kind <> 'replay'
        union all
        select q.id from dripdrop.execution_queue q
         where q.enrollment_id = %(enrollment)s::uuid and q.tenant_key = %(tenant)s::text and q.kind = 'replay'
        union all
        select h.id from dripdrop.execution_history h
         where h.enrollment_id = %(enrollment)s::uuid and h.tenant_key = %(tenant)s::text) x
  join dripdrop.delivery_attempts a on a.execution_id = x.id
  left join dripdrop.channel_adapters c on c.id = a.adapter_id
 order by a.started_at, a.execution_id, a.number;

-- name: enrollment_of_execution
select q.enrollment_id from dripdrop.execution_queue q
 where q.id = %(execution)s::uuid and q.tenant_key = %(tenant)s::text
union all
select h.enrollment_id from dripdrop.execution_history h
 where h.id = %(execution)s::uuid and h.tenant_key = %(tenant)s::text;

-- name: enrollment_of_subscriber
-- A live one first, then the newest.
select e.id as enrollment_id
  from dripdrop.enrollments e
  join dripdrop.sequences s on s.id = e.sequence_id
 where e.tenant_key = %(tenant)s::text and e.subscriber_type = %(subscriber_type)s::text
   and e.subscriber_id = %(subscriber_id)s::text
   and (%(sequence)s::text is null or s.key = %(sequence)s::text or s.id::text = %(sequence)s::text)
 order by e.state in ('active', 'paused') desc, e.started_at desc, e.id desc
 limit 1;

-- name: sequence_counts
-- The global scope counts every tenant's people: it is who keeps the whole running.
select s.id, s.tenant_key, s.key, s.name, s.active,
       (select v.version from dripdrop.sequence_versions v where v.sequence_id = s.id and v.state = 'active') as version,
       coalesce(c.active, 0) as in_active, coalesce(c.paused, 0) as in_paused,
       coalesce(c.completed, 0) as in_completed, coalesce(c.cancelled, 0) as in_cancelled
  from dripdrop.sequences s
  left join lateral (
    select count(*) filter (where e.state = 'active') as active, count(*) filter (where e.state = 'paused') as paused,
           count(*) filter (where e.state = 'completed') as completed,
           count(*) filter (where e.state = 'cancelled') as cancelled
      from dripdrop.enrollments e
     where e.sequence_id = s.id and (%(tenant)s::text = '' or e.tenant_key = %(tenant)s::text)) c on true
 where %(tenant)s::text = '' or s.tenant_key in ('', %(tenant)s::text)
 order by s.key, s.tenant_key;

-- name: queue
select q.state, count(*) as number, count(*) filter (where q.worker_id is null and q.due_at <= %(now)s::timestamptz) as due,
       min(q.due_at) filter (where q.worker_id is null and q.due_at <= %(now)s::timestamptz) as oldest_due,
       count(*) filter (where q.state in ('failed', 'unknown') and not isfinite(q.due_at)) as needs_attention
  from dripdrop.execution_queue q
 where %(tenant)s::text = '' or q.tenant_key = %(tenant)s::text
 group by q.state;

-- name: sent_since
select count(*) as number from dripdrop.execution_history h
 where h.state = 'sent' and h.ended_at > %(since)s::timestamptz
   and (%(tenant)s::text = '' or h.tenant_key = %(tenant)s::text);

-- name: workers_alive
-- A lease is in real time.
select w.name, w.stopping, w.started_at, w.heartbeat_at
  from dripdrop.workers w
 where w.heartbeat_at + w.lease >= clock_timestamp()
 order by w.started_at, w.id;

-- name: ready
select count(*) as clocks from dripdrop.clock;
