-- name: claim
-- An array of ctids keeps this a scan of the due index and a Tid scan whatever the plan cache thinks; `watermark` lets it
-- step over index entries that are dead already. Facts come along. While everything is stopped nothing is taken: what is
-- due stays as it is, so that it goes at once when the switch is lifted.
with taken as (
    update dripdrop.execution_queue q
       set state = case when q.state = 'scheduled' then 'claiming'::dripdrop.step_execution_state else q.state end,
           worker_id = %(worker)s::uuid, token = q.token + 1
     where q.ctid = any(array(
        select d.ctid from dripdrop.execution_queue d
         where d.worker_id is null and d.due_at <= %(now)s::timestamptz and d.due_at >= %(watermark)s::timestamptz
           and not exists (select from dripdrop.stops s where s.target_kind = 'all' and s.tenant_key = '')
         order by d.due_at limit %(limit)s::integer for update skip locked))
    returning q.id, q.tenant_key, q.enrollment_id, q.step_id, q.visit, q.kind, q.state, q.due_at, q.token, q.attempt,
              q.refusals, q.retries, q.adapter_id, q.event_id
)
select t.*, e.state as enrollment_state, e.sequence_id, e.sequence_version_id, e.subscriber_type, e.subscriber_id,
       e.data_revision, d.data, s.active as sequence_active, st.active as step_active,
       exists (select from dripdrop.stops) as stops
  from taken t
  join dripdrop.enrollments e on e.id = t.enrollment_id
  join dripdrop.sequences s on s.id = e.sequence_id
  left join dripdrop.steps st on st.id = t.step_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision;

-- name: claim_one
with taken as (
    update dripdrop.execution_queue q
       set state = case when q.state = 'scheduled' then 'claiming'::dripdrop.step_execution_state else q.state end,
           worker_id = %(worker)s::uuid, token = q.token + 1
     where q.id = (select d.id from dripdrop.execution_queue d
                    where d.id = %(id)s::uuid and d.worker_id is null and d.due_at <= %(now)s::timestamptz
                    for update skip locked)
    returning q.id, q.tenant_key, q.enrollment_id, q.step_id, q.visit, q.kind, q.state, q.due_at, q.token, q.attempt,
              q.refusals, q.retries, q.adapter_id, q.event_id
)
select t.*, e.state as enrollment_state, e.sequence_id, e.sequence_version_id, e.subscriber_type, e.subscriber_id,
       e.data_revision, d.data, s.active as sequence_active, st.active as step_active,
       exists (select from dripdrop.stops) as stops
  from taken t
  join dripdrop.enrollments e on e.id = t.enrollment_id
  join dripdrop.sequences s on s.id = e.sequence_id
  left join dripdrop.steps st on st.id = t.step_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision;

-- name: take_over
-- Rows of workers whose lease ran out, in every state; the new token makes whatever they still write stale.
with dead as (
    select w.id from dripdrop.workers w where w.heartbeat_at + w.lease < clock_timestamp()
    union
    select q.worker_id from dripdrop.execution_queue q
     where q.worker_id is not null and not exists (select 1 from dripdrop.workers w where w.id = q.worker_id)
), taken as (
    update dripdrop.execution_queue q set worker_id = %(worker)s::uuid, token = q.token + 1
     where q.ctid = any(array(
        select h.ctid from dripdrop.execution_queue h
         where h.worker_id in (select dead.id from dead) and h.worker_id <> %(worker)s::uuid
         limit %(limit)s::integer for update skip locked))
    returning q.id, q.tenant_key, q.enrollment_id, q.step_id, q.visit, q.kind, q.state, q.due_at, q.token, q.attempt,
              q.refusals, q.retries, q.adapter_id, q.event_id
)
select t.*, e.state as enrollment_state, e.sequence_id, e.sequence_version_id, e.subscriber_type, e.subscriber_id,
       e.data_revision, d.data, s.active as sequence_active, st.active as step_active
  from taken t
  join dripdrop.enrollments e on e.id = t.enrollment_id
  join dripdrop.sequences s on s.id = e.sequence_id
  left join dripdrop.steps st on st.id = t.step_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision;

-- name: held_by
-- What one worker holds; whatever its process no longer knows of is taken up again.
select q.id, q.token from dripdrop.execution_queue q where q.worker_id = %(worker)s::uuid limit %(limit)s::integer;

-- name: take_again
with taken as (
    update dripdrop.execution_queue q set token = q.token + 1
      from unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as g(id, token)
     where q.id = g.id and q.token = g.token
       and case when q.worker_id is distinct from %(worker)s::uuid then false else true end
    returning q.id, q.tenant_key, q.enrollment_id, q.step_id, q.visit, q.kind, q.state, q.due_at, q.token, q.attempt,
              q.refusals, q.retries, q.adapter_id, q.event_id
)
select t.*, e.state as enrollment_state, e.sequence_id, e.sequence_version_id, e.subscriber_type, e.subscriber_id,
       e.data_revision, d.data, s.active as sequence_active, st.active as step_active
  from taken t
  join dripdrop.enrollments e on e.id = t.enrollment_id
  join dripdrop.sequences s on s.id = e.sequence_id
  left join dripdrop.steps st on st.id = t.step_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision;

-- name: hold_one
-- What a person decides about is read under lock, with the same facts as a claim.
select t.id, t.tenant_key, t.enrollment_id, t.step_id, t.visit, t.kind, t.state,
       case when isfinite(t.due_at) then t.due_at end as due_at, t.token, t.attempt, t.refusals, t.retries, t.adapter_id,
       t.event_id, e.state as enrollment_state, e.sequence_id, e.sequence_version_id, e.subscriber_type, e.subscriber_id,
       e.data_revision, d.data, s.active as sequence_active, st.active as step_active,
       false as stops, t.worker_id
  from dripdrop.execution_queue t
  join dripdrop.enrollments e on e.id = t.enrollment_id
  join dripdrop.sequences s on s.id = e.sequence_id
  left join dripdrop.steps st on st.id = t.step_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision
 where t.id = %(id)s::uuid and t.tenant_key = %(tenant)s::text
   for update of t;

-- name: enrollment_of
select q.enrollment_id from dripdrop.execution_queue q where q.id = %(id)s::uuid and q.tenant_key = %(tenant)s::text
union all
select h.enrollment_id from dripdrop.execution_history h where h.id = %(id)s::uuid and h.tenant_key = %(tenant)s::text;

-- name: version_of_step
select st.sequence_version_id from dripdrop.steps st where st.id = %(id)s::uuid;

-- name: lock_enrollments
-- Enrollments before queue rows, in id order; the data only where it is newer than what the claim brought.
select e.id, e.state,
       case when e.data_revision <> g.revision then
            (select d.data from dripdrop.enrollment_data d where d.enrollment_id = e.id and d.revision = e.data_revision)
       end as data
  from unnest(%(ids)s::uuid[], %(revisions)s::integer[]) as g(id, revision)
  join dripdrop.enrollments e on e.id = g.id
 order by e.id
   for no key update of e;

-- name: open_many
-- Committed before the wire. What is paused, cancelled or stopped since the claim is not opened.
-- Fences are said with `case`: no index can answer that, so rows are found by id, and never by way of the index of what a
-- worker holds, in which dead entries pile up between two vacuums. Nor do statistics answer it: they were taken while
-- nobody held anything, and promise one row where there are a thousand, each of which is then compared with each given one.
with given as materialized (
    select * from unnest(%(ids)s::uuid[], %(tokens)s::bigint[], %(adapter_ids)s::uuid[], %(recipients)s::text[],
        %(version_ids)s::uuid[], %(revisions)s::integer[], %(digests)s::bytea[], %(business_at)s::timestamptz[],
        %(answers)s::text[])
        as g(id, token, adapter_id, recipient, version_id, revision, digest, business_at, answers)
), stopped as materialized (
    select s.target_kind, s.target_id, s.tenant_key from dripdrop.stops s
), opened as (
    update dripdrop.execution_queue q
       set state = 'sending', token = q.token + 1, attempt = q.attempt + 1, adapter_id = g.adapter_id
      from given g
     where q.id = g.id and q.token = g.token
       and case when q.worker_id is distinct from %(worker)s::uuid then false else true end
       and case when q.state <> 'claiming' then false else true end
       and exists (select 1 from dripdrop.enrollments e
                    where e.id = q.enrollment_id and (e.state = 'active' or q.kind = 'replay')
                      and not exists (select 1 from stopped s
                           where (s.target_kind = 'all' and s.tenant_key in ('', q.tenant_key))
                              or (s.target_kind = 'tenant' and s.tenant_key = q.tenant_key)
                              or (s.target_kind = 'sequence' and s.target_id = e.sequence_id and s.tenant_key in ('', q.tenant_key))
                              or (s.target_kind = 'adapter' and s.target_id = g.adapter_id and s.tenant_key in ('', q.tenant_key))))
    returning q.id, q.token, q.attempt, q.tenant_key, q.refusals, g.adapter_id, g.recipient, g.version_id, g.revision,
              g.digest, g.business_at, g.answers
), noted as (
    insert into dripdrop.delivery_attempts (execution_id, number, tenant_key, adapter_id, refusals, recipient, started_at,
        business_at, version_id, data_revision, digest, answers)
    select o.id, o.attempt, o.tenant_key, o.adapter_id, o.refusals, o.recipient, %(now)s::timestamptz,
           o.business_at, o.version_id, o.revision, o.digest, o.answers::jsonb
      from opened o
)
select id, token, attempt from opened;

-- name: still_held
-- Of what was not opened: which rows are still ours, so that they are handed back instead of waiting for the lease.
select q.id, q.token
  from unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as g(id, token)
  join dripdrop.execution_queue q
    on q.id = g.id and q.token = g.token
   and case when q.worker_id is distinct from %(worker)s::uuid then false else true end;

-- name: landed
-- Opened by us under the very next token: a commit whose answer was lost on the way.
select q.id, q.token, q.attempt
  from unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as g(id, token)
  join dripdrop.execution_queue q
    on q.id = g.id and q.token = g.token + 1
   and case when q.worker_id is distinct from %(worker)s::uuid then false else true end
   and case when q.state <> 'sending' then false else true end;

-- name: end_many
-- An ending is one statement: history, the next row, the attempt and the journal come from the deleted row, never
-- beside it, so a row that another worker took over leaves no trace here.
with given as materialized (
    select * from unnest(%(ids)s::uuid[], %(tokens)s::bigint[], %(states)s::text[], %(why)s::text[], %(events)s::text[],
        %(next_steps)s::uuid[], %(next_due)s::timestamptz[], %(next_as)s::text[], %(enrollment_states)s::text[],
        %(reasons)s::text[], %(outcomes)s::text[], %(error_classes)s::text[], %(message_ids)s::text[],
        %(responses)s::text[])
        as g(id, token, to_state, why, event, next_step_id, next_due_at, next_as, enrollment_state, reasons, outcome,
             error_class, message_id, response)
), gone as (
    delete from dripdrop.execution_queue q using given g
     where q.id = g.id and q.token = g.token
       and case when q.worker_id is distinct from %(worker)s::uuid then false else true end
    returning q.id, q.tenant_key, q.enrollment_id, q.step_id, q.visit, q.kind, q.of_id, q.state as from_state, q.due_at,
              q.attempt, q.refusals, q.retries, q.adapter_id, q.event_id, g.to_state, g.why, g.event, g.next_step_id,
              g.next_due_at, g.next_as, g.enrollment_state, g.reasons, g.outcome, g.error_class, g.message_id, g.response
), bumped as (
    -- Drawing an id can cost as much as an index entry: one serves the next row and the line of the journal.
    update dripdrop.enrollments e
       set seq = e.seq + 1,
           visits = e.visits + case when g.next_as in ('scheduled', 'waiting') then 1 else 0 end,
           current_step_id = case when g.kind = 'replay' then e.current_step_id else g.next_step_id end,
           state = coalesce(g.enrollment_state::dripdrop.enrollment_state, e.state),
           completed_at = case when g.enrollment_state = 'completed' then %(now)s::timestamptz else e.completed_at end,
           cancelled_at = case when g.enrollment_state = 'cancelled' then %(now)s::timestamptz else e.cancelled_at end,
           reason = case when g.enrollment_state is not null then g.why else e.reason end,
           remaining = case when e.state = 'paused' and g.next_as is not null
                            then greatest(g.next_due_at - %(now)s::timestamptz, interval '0') else e.remaining end,
           updated_at = %(now)s::timestamptz
      from gone g where e.id = g.enrollment_id
    returning e.seq, e.visits, e.state as enrollment_now, dripdrop.uuid7() as fresh, g.*
), kept as (
    insert into dripdrop.execution_history (id, tenant_key, enrollment_id, step_id, visit, kind, of_id, from_state, state,
        reason, due_at, ended_at, attempt, refusals, retries, adapter_id, event_id)
    select b.id, b.tenant_key, b.enrollment_id, b.step_id, b.visit, b.kind, b.of_id, b.from_state,
           b.to_state::dripdrop.step_execution_state, b.why, b.due_at, %(now)s::timestamptz, b.attempt,
           b.refusals + case when b.outcome in ('failed', 'rejected', 'bounced') then 1 else 0 end, b.retries, b.adapter_id,
           b.event_id
      from bumped b where b.kind <> 'advance'
), following as (
    -- A way that hooks decide begins where the step ended, and knows the event that it waited for.
    insert into dripdrop.execution_queue (id, tenant_key, enrollment_id, step_id, visit, kind, state, due_at, event_id)
    select b.fresh, b.tenant_key, b.enrollment_id, b.next_step_id,
           case when b.next_as = 'advance' then b.visit else b.visits end,
           case when b.next_as = 'advance' then 'advance' else 'path' end::dripdrop.execution_kind,
           case when b.next_as = 'waiting' then 'waiting' else 'scheduled' end::dripdrop.step_execution_state,
           case when b.enrollment_now = 'paused' then 'infinity'::timestamptz
                else coalesce(b.next_due_at, 'infinity'::timestamptz) end,
           case when b.next_as = 'advance' then b.event_id end
      from bumped b where b.next_as is not null
), filled as (
    update dripdrop.delivery_attempts a
       set finished_at = %(now)s::timestamptz, outcome = g.outcome::dripdrop.attempt_outcome, error_class = g.error_class,
           provider_message_id = g.message_id, provider_response = g.response::jsonb
      from gone g
     where g.outcome is not null and a.execution_id = g.id and a.number = g.attempt and a.outcome is null
), keyed as (
    insert into dripdrop.message_keys (key, execution_id, adapter_id)
    select g.message_id, g.id, g.adapter_id from gone g where g.message_id is not null
    on conflict do nothing
), told as (
    insert into dripdrop.journal (id, tenant_key, enrollment_id, seq, execution_id, step_id, event, from_state, to_state,
        reasons, at)
    select b.fresh, b.tenant_key, b.enrollment_id, b.seq, b.id, b.step_id, b.event,
           case when b.kind <> 'advance' then b.from_state::text end, case when b.kind <> 'advance' then b.to_state end,
           b.reasons::jsonb, %(now)s::timestamptz
      from bumped b
)
select b.id from bumped b;

-- name: requeue_many
-- Back to the queue, free for anybody: a retry, a doubt, a failure that needs attention.
with given as materialized (
    select * from unnest(%(ids)s::uuid[], %(tokens)s::bigint[], %(states)s::text[], %(due_at)s::timestamptz[],
        %(refused)s::integer[], %(spent)s::integer[], %(events)s::text[], %(reasons)s::text[], %(outcomes)s::text[],
        %(error_classes)s::text[], %(responses)s::text[])
        as g(id, token, to_state, due_at, refused, spent, event, reasons, outcome, error_class, response)
), moved as (
    update dripdrop.execution_queue q
       set state = g.to_state::dripdrop.step_execution_state,
           due_at = case when g.due_at is null
                           or (e.state = 'paused' and q.kind <> 'replay' and g.to_state = 'scheduled')
                         then 'infinity'::timestamptz else g.due_at end,
           worker_id = null, token = q.token + 1, refusals = q.refusals + g.refused, retries = q.retries + g.spent
      from given g, dripdrop.enrollments e
     where q.id = g.id and q.token = g.token
       and case when q.worker_id is distinct from %(worker)s::uuid then false else true end
       and e.id = q.enrollment_id
    returning q.id, q.tenant_key, q.enrollment_id, q.step_id, q.attempt, g.to_state, g.due_at, g.event, g.reasons,
              g.outcome, g.error_class, g.response
), bumped as (
    update dripdrop.enrollments e
       set seq = e.seq + 1,
           remaining = case when e.state = 'paused' and m.to_state = 'scheduled'
                            then greatest(m.due_at - %(now)s::timestamptz, interval '0') else e.remaining end,
           updated_at = %(now)s::timestamptz
      from moved m where e.id = m.enrollment_id
    returning e.seq, e.state as enrollment_now, m.*
), filled as (
    update dripdrop.delivery_attempts a
       set finished_at = %(now)s::timestamptz, outcome = m.outcome::dripdrop.attempt_outcome, error_class = m.error_class,
           provider_response = m.response::jsonb
      from moved m
     where m.outcome is not null and a.execution_id = m.id and a.number = m.attempt and a.outcome is null
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, execution_id, step_id, event, to_state, reasons, at)
    select b.tenant_key, b.enrollment_id, b.seq, b.id, b.step_id, b.event, b.to_state, b.reasons::jsonb,
           %(now)s::timestamptz
      from bumped b
)
select b.id from bumped b;

-- name: defer_many
-- Put off to a slot of its own. The same reason again only counts on the latest line of the journal.
with given as materialized (
    select * from unnest(%(ids)s::uuid[], %(tokens)s::bigint[], %(due_at)s::timestamptz[], %(codes)s::text[],
        %(reasons)s::text[]) as g(id, token, due_at, code, reasons)
), moved as (
    update dripdrop.execution_queue q
       set state = case when q.state = 'claiming' then 'scheduled'::dripdrop.step_execution_state else q.state end,
           due_at = g.due_at, worker_id = null, token = q.token + 1
      from given g
     where q.id = g.id and q.token = g.token
       and case when q.worker_id is distinct from %(worker)s::uuid then false else true end
    returning q.id, q.tenant_key, q.enrollment_id, q.step_id, q.state, g.code, g.reasons
), again as (
    update dripdrop.journal j
       set times = j.times + 1, last_at = %(now)s::timestamptz, reasons = m.reasons::jsonb
      from moved m join dripdrop.enrollments e on e.id = m.enrollment_id
     where j.enrollment_id = m.enrollment_id and j.seq = e.seq and j.execution_id = m.id and j.event = 'deferred'
       and j.reasons -> 0 ->> 'code' = m.code
    returning m.id
), bumped as (
    update dripdrop.enrollments e set seq = e.seq + 1, updated_at = %(now)s::timestamptz
      from moved m
     where e.id = m.enrollment_id and not exists (select 1 from again a where a.id = m.id)
    returning e.seq, m.*
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, execution_id, step_id, event, to_state, reasons, at)
    select b.tenant_key, b.enrollment_id, b.seq, b.id, b.step_id, 'deferred', b.state::text, b.reasons::jsonb,
           %(now)s::timestamptz
      from bumped b
)
select m.id from moved m;

-- name: hand_back
-- What was claimed and will not be opened by us: free at once, held while the enrollment is paused.
with given as materialized (
    select * from unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as g(id, token)
), moved as (
    update dripdrop.execution_queue q
       set state = case when q.state = 'claiming' then 'scheduled'::dripdrop.step_execution_state else q.state end,
           due_at = case when q.state in ('claiming', 'waiting') and q.kind <> 'replay' and e.state = 'paused'
                         then 'infinity'::timestamptz else q.due_at end,
           worker_id = null, token = q.token + 1
      from given g, dripdrop.enrollments e
     where q.id = g.id and q.token = g.token
       and case when q.worker_id is distinct from %(worker)s::uuid then false else true end
       and e.id = q.enrollment_id
       and (e.state in ('active', 'paused') or q.kind = 'replay' or q.state = 'unknown')
    returning q.id, q.enrollment_id, e.state as enrollment_state
), left_over as (
    update dripdrop.enrollments e set remaining = interval '0' from moved m
     where e.id = m.enrollment_id and m.enrollment_state = 'paused'
)
select m.id from moved m;


-- name: live_of
-- What is live and has a time; what a worker holds is on its way already.
select q.id, q.due_at from dripdrop.execution_queue q
 where q.enrollment_id = any(%(enrollments)s::uuid[]) and q.kind <> 'replay' and q.worker_id is null and isfinite(q.due_at)
 union all
select q.id, q.due_at from dripdrop.execution_queue q
 where q.enrollment_id = any(%(enrollments)s::uuid[]) and q.kind = 'replay' and q.worker_id is null and isfinite(q.due_at)
 order by id;

-- name: keep_jobs
insert into dripdrop.scheduler_jobs (execution_id, backend, job_id)
select g.id, %(backend)s::text, g.job from unnest(%(ids)s::uuid[], %(jobs)s::text[]) as g(id, job)
on conflict do nothing;

-- name: forget_jobs
delete from dripdrop.scheduler_jobs j
 using (select q.id from dripdrop.execution_queue q
         where q.enrollment_id = any(%(enrollments)s::uuid[]) and q.kind <> 'replay'
        union all
        select q.id from dripdrop.execution_queue q
         where q.enrollment_id = any(%(enrollments)s::uuid[]) and q.kind = 'replay'
        union all
        select h.id from dripdrop.execution_history h where h.enrollment_id = any(%(enrollments)s::uuid[])) x
 where j.execution_id = x.id and j.backend = %(backend)s::text
returning j.job_id;

-- name: replay
-- An execution of its own that never advances the path: it takes the next visit and names the original.
with original as (
    select h.* from dripdrop.execution_history h
     where h.id = %(id)s::uuid and h.tenant_key = %(tenant)s::text and h.state = any('{failed,sent,skipped,cancelled}')
), bumped as (
    update dripdrop.enrollments e set visits = e.visits + 1, seq = e.seq + 1, updated_at = %(now)s::timestamptz
      from original o where e.id = o.enrollment_id
    returning e.visits, e.seq, o.id as of_id, o.tenant_key, o.enrollment_id, o.step_id, o.event_id
), queued as (
    insert into dripdrop.execution_queue (tenant_key, enrollment_id, step_id, visit, kind, of_id, due_at, event_id)
    select b.tenant_key, b.enrollment_id, b.step_id, b.visits, 'replay', b.of_id, %(now)s::timestamptz, b.event_id
      from bumped b
    returning id, enrollment_id
), told as (
    insert into dripdrop.journal (tenant_key, enrollment_id, seq, execution_id, step_id, event, to_state, reasons, at)
    select b.tenant_key, b.enrollment_id, b.seq, b.of_id, b.step_id, 'replayed', 'scheduled', %(reasons)s::jsonb,
           %(now)s::timestamptz
      from bumped b
)
select q.id, q.enrollment_id from queued q;

-- name: attempts_since
-- When the first attempt of all, and the first under the present key, began.
select a.execution_id, min(a.started_at) as first_at,
       min(a.started_at) filter (where a.refusals = g.refusals) as key_at
  from unnest(%(ids)s::uuid[], %(refusals)s::integer[]) as g(id, refusals)
  join dripdrop.delivery_attempts a on a.execution_id = g.id
 group by a.execution_id;

-- name: last_attempts
-- With what is known of the attempts under the same key: when the first began, whether one of them may have arrived,
-- and whether a person has asked for another since.
select a.execution_id, a.number, a.adapter_id, a.refusals, a.recipient, a.started_at, a.business_at, a.version_id,
       a.data_revision, a.digest, a.answers, a.finished_at, d.data, k.key_at, k.doubted,
       exists (select 1 from dripdrop.journal j
                where j.enrollment_id = q.enrollment_id and j.execution_id = g.id and j.at >= a.finished_at
                  and j.reasons @> '[{"code": "resolved_resend"}]') as asked_for
  from unnest(%(ids)s::uuid[], %(numbers)s::integer[]) as g(id, number)
  join dripdrop.delivery_attempts a on a.execution_id = g.id and a.number = g.number
  join dripdrop.execution_queue q on q.id = g.id
 cross join lateral (
    select min(b.started_at) as key_at, bool_or(b.outcome is not distinct from 'unknown') as doubted
      from dripdrop.delivery_attempts b where b.execution_id = g.id and b.refusals = a.refusals) k
  left join dripdrop.enrollment_data d on d.enrollment_id = q.enrollment_id and d.revision = a.data_revision;

-- name: next_due
select min(q.due_at) as at from dripdrop.execution_queue q
 where q.worker_id is null and q.due_at < 'infinity' and q.due_at > %(after)s::timestamptz;

-- name: pending
-- How much stands between now and idle: due and free, and held.
select (select count(*) from (select 1 from dripdrop.execution_queue q
                               where q.worker_id is null and q.due_at <= %(now)s::timestamptz limit 1000) d) as due,
       (select count(*) from (select 1 from dripdrop.execution_queue q where q.worker_id is not null limit 1000) h) as held;

-- name: advance_clock
-- Business time jumps only while nothing is due and no lease is held, so a jump robs nobody.
update dripdrop.clock c set ahead = c.ahead + (%(to)s::timestamptz - %(now)s::timestamptz)
 where %(to)s::timestamptz > %(now)s::timestamptz
   and not exists (select 1 from dripdrop.execution_queue q where q.worker_id is not null)
   and not exists (select 1 from dripdrop.execution_queue q where q.worker_id is null and q.due_at <= %(now)s::timestamptz)
returning c.ahead;

-- name: clock_ahead
select c.ahead from dripdrop.clock c;

-- name: repeats
-- How often a step was sent since the path was last elsewhere.
select g.id, count(*) filter (where h.state = 'sent') as sends
  from unnest(%(ids)s::uuid[], %(enrollments)s::uuid[], %(steps)s::uuid[]) as g(id, enrollment_id, step_id)
  join dripdrop.execution_history h on h.enrollment_id = g.enrollment_id and h.kind = 'path' and h.step_id = g.step_id
   and h.visit > coalesce((select max(o.visit) from dripdrop.execution_history o
                            where o.enrollment_id = g.enrollment_id and o.kind = 'path' and o.step_id <> g.step_id), 0)
 group by g.id;

-- name: put_off_before
-- How often an execution has been put off for one and the same reason, as its latest line says.
select q.id, j.times
  from unnest(%(ids)s::uuid[], %(codes)s::text[]) as g(id, code)
  join dripdrop.execution_queue q on q.id = g.id
  join dripdrop.enrollments e on e.id = q.enrollment_id
  join dripdrop.journal j on j.enrollment_id = e.id and j.seq = e.seq and j.execution_id = q.id and j.event = 'deferred'
   and j.reasons -> 0 ->> 'code' = g.code;
