-- name: insert_many
-- Whoever is enrolled already is left alone: the one live enrollment per subscriber is a unique index, so of two that
-- race the second waits for the first and then finds its row.
insert into dripdrop.enrollments as e
    (tenant_key, sequence_id, sequence_version_id, subscriber_type, subscriber_id, current_step_id, seq, visits,
     started_at, updated_at, metadata)
select %(tenant)s::text, %(sequence_id)s::uuid, %(version_id)s::uuid, g.subscriber_type, g.subscriber_id, g.step_id, 1,
       case when g.step_id is null then 0 else 1 end, %(now)s::timestamptz, %(now)s::timestamptz, g.metadata::jsonb
  from unnest(%(types)s::text[], %(ids)s::text[], %(step_ids)s::uuid[], %(metadata)s::text[])
    as g(subscriber_type, subscriber_id, step_id, metadata)
 -- A scalar look-up, since EXISTS may be answered by hashing everybody who ever went through.
 where %(reentry)s::boolean or (
    select old.id from dripdrop.enrollments old
     where old.tenant_key = %(tenant)s::text and old.subscriber_type = g.subscriber_type
       and old.subscriber_id = g.subscriber_id and old.sequence_id = %(sequence_id)s::uuid
       and old.state in ('completed', 'cancelled')
       and (%(ended_before)s::timestamptz is null
            or coalesce(old.completed_at, old.cancelled_at, old.updated_at) > %(ended_before)s::timestamptz)
     limit 1) is null
on conflict (tenant_key, sequence_id, subscriber_type, subscriber_id) where state in ('active', 'paused') do nothing
returning e.id, e.subscriber_type, e.subscriber_id;

-- name: begin_many
-- What a new enrollment starts with: its data, its first execution and the first line of its journal. Without a step,
-- hooks have to be asked for the way in.
with given as materialized (
    select * from unnest(%(ids)s::uuid[], %(data)s::text[], %(step_ids)s::uuid[], %(due_at)s::timestamptz[],
        %(states)s::text[], %(reasons)s::text[]) as g(id, data, step_id, due_at, state, reasons)
), noted as (
    insert into dripdrop.enrollment_data (enrollment_id, revision, data, inserted_at)
    select g.id, 1, g.data::jsonb, %(now)s::timestamptz from given g
), queued as (
    insert into dripdrop.execution_queue (tenant_key, enrollment_id, step_id, visit, kind, state, due_at)
    select %(tenant)s::text, g.id, g.step_id, case when g.step_id is null then 0 else 1 end,
           case when g.step_id is null then 'advance' else 'path' end::dripdrop.execution_kind,
           case when g.state = 'waiting' then 'waiting' else 'scheduled' end::dripdrop.step_execution_state,
           coalesce(g.due_at, 'infinity'::timestamptz)
      from given g
    returning id, enrollment_id, step_id, due_at
), told as (
    -- An id drawn for the enrollment a moment ago serves its first line as well.
    insert into dripdrop.journal (id, tenant_key, enrollment_id, seq, step_id, event, to_state, reasons, at)
    select g.id, %(tenant)s::text, g.id, 1, g.step_id, 'enrolled', 'active', g.reasons::jsonb, %(now)s::timestamptz
      from given g
)
select count(*) as queued from queued;

-- name: standing
-- What stands in the way of an enrollment that was not made: a live one first, else the newest ended one.
select distinct on (e.subscriber_type, e.subscriber_id) e.*, d.data
  from unnest(%(types)s::text[], %(ids)s::text[]) as g(subscriber_type, subscriber_id)
  join dripdrop.enrollments e on e.tenant_key = %(tenant)s::text and e.subscriber_type = g.subscriber_type
       and e.subscriber_id = g.subscriber_id and e.sequence_id = %(sequence_id)s::uuid
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision
 order by e.subscriber_type, e.subscriber_id, e.state in ('active', 'paused') desc, e.started_at desc;

-- name: get
select e.*, d.data, s.key as sequence_key
  from dripdrop.enrollments e
  join dripdrop.sequences s on s.id = e.sequence_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision
 where e.id = %(id)s::uuid and e.tenant_key = %(tenant)s::text;

-- name: lock
-- Enrollments are locked before queue rows, each in id order.
select e.*, d.data, s.key as sequence_key
  from dripdrop.enrollments e
  join dripdrop.sequences s on s.id = e.sequence_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision
 where e.id = any(%(ids)s::uuid[]) and e.tenant_key = %(tenant)s::text
 order by e.id
   for no key update of e;

-- name: pause
-- Only what is not on its way is held: the time that was left is kept, so resuming goes on from there. Here and below, a
-- person's queue rows are found in two parts, since the path and replays have an index each.
with held as (
    update dripdrop.enrollments e
       set state = 'paused', seq = e.seq + 1, updated_at = %(now)s::timestamptz,
           remaining = (select case when isfinite(q.due_at) then greatest(q.due_at - %(now)s::timestamptz, interval '0') end
                          from dripdrop.execution_queue q
                         where q.enrollment_id = e.id and q.kind <> 'replay' and q.state in ('scheduled', 'waiting'))
     where e.id = %(id)s::uuid and e.tenant_key = %(tenant)s::text and e.state::text = any(%(sources)s::text[])
    returning e.*
), stopped as (
    update dripdrop.execution_queue q set due_at = 'infinity', token = q.token + 1
      from held cross join lateral (
          select a.id from dripdrop.execution_queue a where a.enrollment_id = held.id and a.kind <> 'replay' union all
          select a.id from dripdrop.execution_queue a where a.enrollment_id = held.id and a.kind = 'replay') own
     where q.id = own.id and q.state in ('scheduled', 'waiting') and q.worker_id is null
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, step_id, event, from_state, to_state, reasons, at)
    select h.tenant_key, h.id, h.seq, h.current_step_id, 'paused', 'active', 'paused', %(reasons)s::jsonb, %(now)s::timestamptz
      from held h
)
select held.*, d.data, s.key as sequence_key from held
  join dripdrop.sequences s on s.id = held.sequence_id
  left join dripdrop.enrollment_data d on d.enrollment_id = held.id and d.revision = held.data_revision;

-- name: resume
with freed as (
    update dripdrop.enrollments e
       set state = 'active', seq = e.seq + 1, updated_at = %(now)s::timestamptz
     where e.id = %(id)s::uuid and e.tenant_key = %(tenant)s::text and e.state::text = any(%(sources)s::text[])
    returning e.*
), going as (
    update dripdrop.execution_queue q
       set due_at = case when f.remaining is null and q.state = 'waiting' then 'infinity'::timestamptz
                         else %(now)s::timestamptz + coalesce(f.remaining, interval '0') end,
           token = q.token + 1
      from freed f cross join lateral (
          select a.id from dripdrop.execution_queue a where a.enrollment_id = f.id and a.kind <> 'replay' union all
          select a.id from dripdrop.execution_queue a where a.enrollment_id = f.id and a.kind = 'replay') own
     where q.id = own.id and q.state in ('scheduled', 'waiting') and q.worker_id is null
    returning q.id, q.due_at, q.state
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, step_id, event, from_state, to_state, reasons, at)
    select f.tenant_key, f.id, f.seq, f.current_step_id, 'resumed', 'paused', 'active', %(reasons)s::jsonb, %(now)s::timestamptz
      from freed f
)
select freed.*, d.data, s.key as sequence_key, (select count(*) from going) as going,
       (select bool_or(going.due_at <= %(now)s::timestamptz) from going) as due_now,
       (select bool_or(going.state = 'waiting') from going) as waits
  from freed
  join dripdrop.sequences s on s.id = freed.sequence_id
  left join dripdrop.enrollment_data d on d.enrollment_id = freed.id and d.revision = freed.data_revision;

-- name: complete_if_idle
-- An enrollment whose last execution ended while it was paused has nothing to go on with.
with ended as (
    update dripdrop.enrollments e
       set state = 'completed', completed_at = %(now)s::timestamptz, seq = e.seq + 1, updated_at = %(now)s::timestamptz,
           current_step_id = null
     where e.id = %(id)s::uuid and e.tenant_key = %(tenant)s::text and e.state = 'active'
       and not exists (select 1 from dripdrop.execution_queue q where q.enrollment_id = e.id and q.kind <> 'replay')
    returning e.*
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, event, from_state, to_state, reasons, at)
    select x.tenant_key, x.id, x.seq, 'completed', 'active', 'completed', %(reasons)s::jsonb, %(now)s::timestamptz from ended x
)
select ended.* from ended;

-- name: leave_many
-- What is on its way (claiming, sending, unknown) is left alone: open refuses it, and close does not go on.
with given as materialized (
    select * from unnest(%(ids)s::uuid[], %(states)s::text[], %(why)s::text[], %(reasons)s::text[])
        as g(id, to_state, why, reasons)
), live as materialized (
    select l.id from dripdrop.enrollments l
     where l.id in (select g.id from given g) and l.tenant_key = %(tenant)s::text
       and l.state::text = any(%(sources)s::text[])
     order by l.id for no key update
), ended as (
    update dripdrop.enrollments e
       set state = g.to_state::dripdrop.enrollment_state, seq = e.seq + 1, updated_at = %(now)s::timestamptz,
           completed_at = case when g.to_state = 'completed' then %(now)s::timestamptz else e.completed_at end,
           cancelled_at = case when g.to_state = 'cancelled' then %(now)s::timestamptz else e.cancelled_at end,
           reason = g.why
      from live l join given g on g.id = l.id
     where e.id = l.id and e.state::text = any(%(sources)s::text[])
    returning e.*
), gone as (
    delete from dripdrop.execution_queue q using ended cross join lateral (
         select a.id from dripdrop.execution_queue a where a.enrollment_id = ended.id and a.kind <> 'replay' union all
         select a.id from dripdrop.execution_queue a where a.enrollment_id = ended.id and a.kind = 'replay') own
     where q.id = own.id and q.state in ('scheduled', 'waiting', 'failed') and q.worker_id is null
    returning q.*, ended.reason as why
), kept as (
    insert into dripdrop.execution_history (id, tenant_key, enrollment_id, step_id, visit, kind, of_id, from_state, state,
        reason, due_at, ended_at, attempt, refusals, retries, adapter_id, event_id)
    select g.id, g.tenant_key, g.enrollment_id, g.step_id, g.visit, g.kind, g.of_id, g.state, 'cancelled',
           g.why, g.due_at, %(now)s::timestamptz, g.attempt, g.refusals, g.retries, g.adapter_id, g.event_id
      from gone g where g.kind <> 'advance'
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, execution_id, step_id, event, to_state, reasons, at)
    select e.tenant_key, e.id, e.seq, (select g.id from gone g where g.enrollment_id = e.id and g.kind = 'path'),
           e.current_step_id, e.state::text, e.state::text, n.reasons::jsonb, %(now)s::timestamptz
      from ended e join given n on n.id = e.id
)
select ended.*, d.data, s.key as sequence_key from ended
  join dripdrop.sequences s on s.id = ended.sequence_id
  left join dripdrop.enrollment_data d on d.enrollment_id = ended.id and d.revision = ended.data_revision;

-- name: update_data
with changed as (
    update dripdrop.enrollments e
       set data_revision = e.data_revision + 1, seq = e.seq + 1, updated_at = %(now)s::timestamptz
     where e.id = %(id)s::uuid and e.tenant_key = %(tenant)s::text
    returning e.*
), kept as (
    insert into dripdrop.enrollment_data (enrollment_id, revision, data, inserted_at)
    select c.id, c.data_revision, %(data)s::jsonb, %(now)s::timestamptz from changed c
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, event, reasons, at)
    select c.tenant_key, c.id, c.seq, 'data_updated', %(reasons)s::jsonb, %(now)s::timestamptz from changed c
)
select changed.*, %(data)s::jsonb as data, s.key as sequence_key from changed
  join dripdrop.sequences s on s.id = changed.sequence_id;

-- name: move
-- The pending execution ends as cancelled; the new one is inserted from it, at a step of the other version.
with moved as (
    update dripdrop.enrollments e
       set sequence_version_id = %(version_id)s::uuid, current_step_id = %(step_id)s::uuid, seq = e.seq + 1,
           visits = e.visits + 1, updated_at = %(now)s::timestamptz,
           remaining = case when e.state = 'paused' then greatest(%(due_at)s::timestamptz - %(now)s::timestamptz, interval '0') end
     where e.id = %(id)s::uuid and e.tenant_key = %(tenant)s::text and e.state in ('active', 'paused')
       and exists (select 1 from dripdrop.execution_queue q where q.enrollment_id = e.id and q.kind <> 'replay'
                    and q.state in ('scheduled', 'waiting', 'failed') and q.worker_id is null
                    and (q.kind <> 'advance' or %(anywhere)s::boolean))
    returning e.*
), gone as (
    delete from dripdrop.execution_queue q using moved
     where q.enrollment_id = moved.id and q.kind <> 'replay' and q.state in ('scheduled', 'waiting', 'failed')
       and q.worker_id is null
    returning q.*
), kept as (
    insert into dripdrop.execution_history (id, tenant_key, enrollment_id, step_id, visit, kind, of_id, from_state, state,
        reason, due_at, ended_at, attempt, refusals, retries, adapter_id, event_id)
    select g.id, g.tenant_key, g.enrollment_id, g.step_id, g.visit, g.kind, g.of_id, g.state, 'cancelled', 'moved',
           g.due_at, %(now)s::timestamptz, g.attempt, g.refusals, g.retries, g.adapter_id, g.event_id
      from gone g where g.kind <> 'advance'
), following as (
    insert into dripdrop.execution_queue (tenant_key, enrollment_id, step_id, visit, state, due_at)
    select g.tenant_key, g.enrollment_id, %(step_id)s::uuid, m.visits, %(state)s::dripdrop.step_execution_state,
           case when m.state = 'paused' then 'infinity'::timestamptz
                else coalesce(%(due_at)s::timestamptz, 'infinity'::timestamptz) end
      from gone g join moved m on m.id = g.enrollment_id
    returning id
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, step_id, event, reasons, at)
    select m.tenant_key, m.id, m.seq, %(step_id)s::uuid, 'moved', %(reasons)s::jsonb, %(now)s::timestamptz from moved m
)
select moved.*, d.data, s.key as sequence_key from moved
  join gone on gone.enrollment_id = moved.id
  join dripdrop.sequences s on s.id = moved.sequence_id
  left join dripdrop.enrollment_data d on d.enrollment_id = moved.id and d.revision = moved.data_revision;

-- name: wake
select pg_notify(%(channel)s::text, '');
