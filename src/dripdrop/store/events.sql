-- name: record_many
-- One row per event. An event of an enrollment is its subscriber's; one of an enrollment that is not there is left out.
-- A transaction above READ COMMITTED cannot see who began to wait since its snapshot: its events are noted for the sweep.
with given as materialized (
    select dripdrop.uuid7() as id, g.place, g.enrollment_id, coalesce(e.subscriber_type, g.subscriber_type) as subscriber_type,
           coalesce(e.subscriber_id, g.subscriber_id) as subscriber_id, g.event_key, g.data::jsonb as data, g.occurred_at
      from unnest(%(enrollments)s::uuid[], %(types)s::text[], %(ids)s::text[], %(events)s::text[], %(data)s::text[],
           %(occurred)s::timestamptz[])
           with ordinality as g(enrollment_id, subscriber_type, subscriber_id, event_key, data, occurred_at, place)
      left join dripdrop.enrollments e on e.id = g.enrollment_id and e.tenant_key = %(tenant)s::text
     where g.enrollment_id is null or e.id is not null
), kept as (
    insert into dripdrop.events
        (id, tenant_key, enrollment_id, subscriber_type, subscriber_id, event_key, event_data, occurred_at, inserted_at)
    select g.id, %(tenant)s::text, g.enrollment_id, g.subscriber_type, g.subscriber_id, g.event_key, g.data, g.occurred_at,
           %(now)s::timestamptz
      from given g
), late as (
    insert into dripdrop.unheard (event_id)
    select g.id from given g where current_setting('transaction_isolation') in ('repeatable read', 'serializable')
)
select g.id, g.place, g.subscriber_type, g.subscriber_id, g.occurred_at from given g order by g.place;

-- name: exits
-- The live enrollments whose version ends on one of these events, each with the first event and the first entry that fits.
select distinct on (e.id) e.id, v.id as event_id, v.event_key, x.ends_as
  from dripdrop.events v
 cross join lateral (
    select p.id, p.sequence_version_id from dripdrop.enrollments p
     where p.tenant_key = v.tenant_key and p.subscriber_type = v.subscriber_type and p.subscriber_id = v.subscriber_id
       and p.state in ('active', 'paused') and (v.enrollment_id is null or p.id = v.enrollment_id)
       and v.occurred_at >= p.started_at
    offset 0) e
  join dripdrop.sequence_versions n on n.id = e.sequence_version_id
 cross join lateral (
    select coalesce(w.entry ->> 'as', 'cancelled') as ends_as
      from jsonb_array_elements(case jsonb_typeof(n.config -> 'exit_on') when 'array' then n.config -> 'exit_on'
                                     else '[]' end) with ordinality as w(entry, place)
     where w.entry = to_jsonb(v.event_key)
        or (w.entry ->> 'event' = v.event_key and v.event_data @> coalesce(w.entry -> 'match', '{}'))
     order by w.place limit 1) x
 where v.tenant_key = %(tenant)s::text and v.id = any(%(ids)s::uuid[])
 order by e.id, v.occurred_at, v.id;

-- name: data_of
select v.id, v.event_data as data from dripdrop.events v where v.id = any(%(ids)s::uuid[]);

-- name: of_enrollments
-- What happened to people since they were enrolled, of the kinds that their steps ask for; latest first.
select g.enrollment_id, v.event_key, v.event_data as data, v.occurred_at, v.id
  from unnest(%(enrollments)s::uuid[], %(events)s::text[]) as g(enrollment_id, event_key)
  join dripdrop.enrollments e on e.id = g.enrollment_id
 cross join lateral (
    select k.* from dripdrop.events k
     where k.tenant_key = e.tenant_key and k.subscriber_type = e.subscriber_type and k.subscriber_id = e.subscriber_id
       and k.event_key = g.event_key and k.occurred_at >= e.started_at
       and (k.enrollment_id is null or k.enrollment_id = e.id)
     order by k.occurred_at desc, k.id desc limit %(limit)s::integer) v
 order by g.enrollment_id, v.occurred_at desc, v.id desc;
