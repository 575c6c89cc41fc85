-- Where are these tables at work: in the database that they were in before, or in a copy of it?

-- name: recognise
-- A promoted standby has another timeline and goes on; only where nobody had worked for a while before that has somebody
-- gone back to an earlier point in time. What was noted before is read as it stood when the statement began.
with here as (
    select w.system_identifier, w.database, w.timeline from dripdrop.whereabouts() w
), before as (
    select i.system_identifier, i.database, i.timeline,
           greatest(i.noted_at, (select max(w.heartbeat_at) from dripdrop.workers w)) as last_at
      from dripdrop.installation i
), noted as (
    insert into dripdrop.installation as i (system_identifier, database, timeline)
    select h.system_identifier, h.database, h.timeline from here h
    on conflict (id) do update
       set system_identifier = excluded.system_identifier, database = excluded.database, timeline = excluded.timeline,
           noted_at = clock_timestamp()
)
select b.last_at,
       b.database <> h.database or b.system_identifier <> h.system_identifier
       or (b.timeline <> h.timeline and b.last_at < clock_timestamp() - %(silence)s::interval) as copied
  from here h cross join before b;

-- name: hold_back
-- Whatever was due by then may have gone out of the original: its enrollments are paused where they stand. In id order,
-- enrollments before queue rows; a bite at a time.
with late as (
    select q.enrollment_id as id from dripdrop.execution_queue q
      join dripdrop.enrollments e on e.id = q.enrollment_id and e.state = 'active'
     where q.due_at <= %(until)s::timestamptz and q.kind <> 'replay' and q.state in ('scheduled', 'waiting', 'claiming')
     order by q.enrollment_id limit %(limit)s::integer
), held as (
    update dripdrop.enrollments e
       set state = 'paused', seq = e.seq + 1, remaining = interval '0', updated_at = %(now)s::timestamptz
      from late l where e.id = l.id and e.state = 'active'
    returning e.id, e.tenant_key, e.seq, e.current_step_id
), stopped as (
    update dripdrop.execution_queue q set due_at = 'infinity', token = q.token + 1
      from held h
     where q.enrollment_id = h.id and q.kind <> 'replay' and q.state in ('scheduled', 'waiting') and q.worker_id is null
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, step_id, event, from_state, to_state, reasons, at)
    select h.tenant_key, h.id, h.seq, h.current_step_id, 'paused', 'active', 'paused', %(reasons)s::jsonb,
           %(now)s::timestamptz
      from held h
)
select count(*) as held from held;
