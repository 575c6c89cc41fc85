-- What was decided, in the order it was decided.

-- name: of_enrollment
-- The newest lines, handed back in their order: (seq, ordinal) is the only order there is.
select t.* from (
    select j.id, j.tenant_key, j.enrollment_id, j.seq, j.ordinal, j.execution_id, j.step_id, s.key as step, j.event,
           j.from_state, j.to_state, j.reasons, j.gates, j.at, j.times, j.last_at
      from dripdrop.journal j
      left join dripdrop.steps s on s.id = j.step_id
     where j.enrollment_id = %(enrollment)s::uuid and j.tenant_key = %(tenant)s::text
       and (%(execution)s::uuid is null or j.execution_id = %(execution)s::uuid)
       and (%(before)s::integer is null or j.seq < %(before)s::integer)
     order by j.seq desc, j.ordinal desc
     limit %(limit)s::integer) t
 order by t.seq, t.ordinal;

-- name: recent
select j.id, j.tenant_key, j.enrollment_id, j.seq, j.ordinal, j.execution_id, j.step_id, s.key as step, j.event,
       j.from_state, j.to_state, j.reasons, j.gates, j.at, j.times, j.last_at
  from dripdrop.journal j
  left join dripdrop.steps s on s.id = j.step_id
 where j.tenant_key = %(tenant)s::text and (%(after)s::uuid is null or j.id < %(after)s::uuid)
 order by j.id desc
 limit %(limit)s::integer;
