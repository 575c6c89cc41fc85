-- name: on_the_wire
-- Who has which attempt open, and for how many seconds. Business time does not jump while anybody holds anything.
select w.name, a.recipient, e.subscriber_id || '/' || st.key || '/' || q.visit as token,
       extract(epoch from %(now)s::timestamptz - a.started_at)::float8 as seconds
  from dripdrop.execution_queue q
  join dripdrop.workers w on w.id = q.worker_id
  join dripdrop.enrollments e on e.id = q.enrollment_id
  join dripdrop.steps st on st.id = q.step_id
  join dripdrop.delivery_attempts a on a.execution_id = q.id and a.number = q.attempt
 where q.state = 'sending' and a.outcome is null;

-- name: held
select q.id, q.state from dripdrop.execution_queue q join dripdrop.workers w on w.id = q.worker_id
 where w.name like '%%:' || %(pid)s::text;

-- name: alive
select count(*) as number from dripdrop.workers w where w.heartbeat_at + w.lease > clock_timestamp();

-- name: in_doubt
select q.id, e.subscriber_id, e.subscriber_id || '/' || st.key || '/' || q.visit as token
  from dripdrop.execution_queue q
  join dripdrop.enrollments e on e.id = q.enrollment_id
  join dripdrop.steps st on st.id = q.step_id
 where q.state = 'unknown' and q.worker_id is null
 order by e.subscriber_id::integer, q.id;

-- name: progress
select st.key as step, h.state, count(*) as number
  from dripdrop.execution_history h join dripdrop.steps st on st.id = h.step_id
 group by st.key, h.state;

-- name: deeds
-- Every visit of every step: what ended, and what is left over.
select e.subscriber_id, st.key as step, h.visit, h.state::text as state, h.reason
  from dripdrop.execution_history h
  join dripdrop.enrollments e on e.id = h.enrollment_id
  join dripdrop.steps st on st.id = h.step_id
union all
select e.subscriber_id, st.key, q.visit, q.state::text, null
  from dripdrop.execution_queue q
  join dripdrop.enrollments e on e.id = q.enrollment_id
  join dripdrop.steps st on st.id = q.step_id;
