-- name: watch
-- Whoever begins to wait is watched until no event that is being recorded now can be missed.
insert into dripdrop.waits (execution_id, enrollment_id)
select q.id, q.enrollment_id
  from unnest(%(enrollments)s::uuid[]) as g(id)
  join dripdrop.execution_queue q on q.enrollment_id = g.id and q.kind <> 'replay' and q.state = 'waiting'
on conflict (execution_id) do update set seen = null;

-- name: concerned
-- Whose steps wait for one of these events. Each event finds its people, and each of them their row, by index: `offset 0`
-- keeps it so where nobody has counted the tables yet.
select distinct e.id
  from dripdrop.events v
 cross join lateral (
    select p.id from dripdrop.enrollments p
     where p.tenant_key = v.tenant_key and p.subscriber_type = v.subscriber_type and p.subscriber_id = v.subscriber_id
       and p.state = 'active' and (v.enrollment_id is null or p.id = v.enrollment_id) and v.occurred_at >= p.started_at
    offset 0) e
 cross join lateral (
    select q.step_id from dripdrop.execution_queue q
     where q.enrollment_id = e.id and q.kind <> 'replay' and q.state = 'waiting' offset 0) q
 cross join lateral (
    select st.id from dripdrop.steps st
     where st.id = q.step_id and st.timing ->> 'trigger_event' = v.event_key
       and v.event_data @> coalesce(st.timing -> 'trigger_data', '{}') offset 0) st
 where v.tenant_key = %(tenant)s::text and v.id = any(%(ids)s::uuid[])
 order by e.id;

-- name: look_back
-- Wakes whose event has come: the oldest since the enrollment began that no earlier wait of it was woken by. Enrollments
-- are locked before queue rows, in id order; what a worker holds has timed out already.
with found as materialized (
    select w.id, w.enrollment_id, happened.id as event_id, happened.event_key
      from unnest(%(enrollments)s::uuid[]) as g(id)
     cross join lateral (
        select q.id, q.enrollment_id, q.tenant_key, st.timing, e.subscriber_type, e.subscriber_id, e.started_at
          from dripdrop.execution_queue q
          join dripdrop.enrollments e on e.id = q.enrollment_id
          join dripdrop.steps st on st.id = q.step_id
         where q.enrollment_id = g.id and q.kind <> 'replay' and q.state = 'waiting' and q.worker_id is null
        offset 0) w
     cross join lateral (
        select v.id, v.event_key from dripdrop.events v
         where v.tenant_key = w.tenant_key and v.subscriber_type = w.subscriber_type and v.subscriber_id = w.subscriber_id
           and v.event_key = w.timing ->> 'trigger_event' and v.occurred_at >= w.started_at
           and (v.enrollment_id is null or v.enrollment_id = w.enrollment_id)
           and v.event_data @> coalesce(w.timing -> 'trigger_data', '{}')
           and not exists (select 1 from dripdrop.execution_history h
                            where h.enrollment_id = w.enrollment_id and h.event_id = v.id and h.kind <> 'replay')
         order by v.occurred_at, v.id limit 1) happened
), locked as materialized (
    select e.id from dripdrop.enrollments e
     where e.id in (select f.enrollment_id from found f) and e.state = 'active'
     order by e.id for no key update of e
), woken as (
    update dripdrop.execution_queue q
       set state = 'scheduled', due_at = %(now)s::timestamptz, event_id = f.event_id, token = q.token + 1
      from found f join locked l on l.id = f.enrollment_id
     where q.id = f.id and q.state = 'waiting' and q.worker_id is null
    returning q.id, q.tenant_key, q.enrollment_id, q.step_id, f.event_id, f.event_key
), bumped as (
    update dripdrop.enrollments e set seq = e.seq + 1, updated_at = %(now)s::timestamptz
      from woken w where e.id = w.enrollment_id
    returning e.seq, w.*
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, execution_id, step_id, event, from_state, to_state,
        reasons, at)
    select b.tenant_key, b.enrollment_id, b.seq, b.id, b.step_id, 'woken', 'waiting', 'scheduled',
           jsonb_build_array(jsonb_build_object('code', 'event', 'event', b.event_key, 'event_id', b.event_id)),
           %(now)s::timestamptz
      from bumped b
)
select w.id, w.enrollment_id from woken w;

-- name: note
-- The first write of its transaction, so that the number it gets is higher than that of every transaction which was at
-- work while the wait could not be seen. (The upper end of a snapshot is not: it is the next after the highest that has
-- *ended*, and one that is still at work may be above it.)
update dripdrop.waits w set seen = pg_current_xact_id()
 where w.ctid = any(array(
    select n.ctid from dripdrop.waits n where n.seen is null limit %(limit)s::integer for update skip locked));

-- name: settled
-- Everybody who was at work when the wait was first seen has ended.
delete from dripdrop.waits w
 where w.ctid = any(array(
    select s.ctid from dripdrop.waits s where s.seen < pg_snapshot_xmin(pg_current_snapshot())
     limit %(limit)s::integer for update skip locked))
returning w.enrollment_id;

-- name: hear
with heard as (
    delete from dripdrop.unheard u
     where u.ctid = any(array(
        select n.ctid from dripdrop.unheard n limit %(limit)s::integer for update skip locked))
    returning u.event_id
)
select v.tenant_key, v.id from heard h join dripdrop.events v on v.id = h.event_id order by v.tenant_key, v.id;
