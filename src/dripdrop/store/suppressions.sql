-- Who must not be written to. The order of the enum is the order of strength.

-- name: add_many
-- Whatever arrives, a recipient stays blocked for as long as either the old row or the new one says, under the stronger
-- reason; what has expired is replaced. A wish to hear no more that comes in after a later wish to hear again changes
-- nothing. Rows are written in the order of their key, so two batches cannot deadlock.
with told as materialized (
    select g.*, coalesce(g.occurred, %(now)s::timestamptz) as at
      from unnest(%(tenants)s::text[], %(channels)s::text[], %(recipients)s::text[], %(normalized)s::text[],
                  %(topics)s::text[], %(reasons)s::text[], %(sources)s::text[], %(expires)s::timestamptz[],
                  %(metadata)s::text[], %(occurred)s::timestamptz[])
           as g(tenant, channel, recipient, normalized, topic, reason, source, expires_at, metadata, occurred)
), noted as (
    insert into dripdrop.suppression_history
        (tenant_key, channel, recipient_normalized, topic, action, reason, source, occurred_at, inserted_at)
    select t.tenant, t.channel, t.normalized, t.topic, 'added', t.reason::dripdrop.suppression_reason, t.source, t.at,
           %(now)s::timestamptz
      from told t
), given as (
    select distinct on (g.tenant, g.channel, g.normalized, g.topic) g.*
      from told g
     where g.reason <> 'unsubscribe' or not exists (
        select 1 from dripdrop.suppression_history h
         where h.tenant_key = g.tenant and h.channel = g.channel and h.recipient_normalized = g.normalized
           and h.topic = g.topic and h.action = 'resubscribed' and h.occurred_at > g.at)
     order by g.tenant, g.channel, g.normalized, g.topic, g.reason::dripdrop.suppression_reason desc,
              coalesce(g.expires_at, 'infinity') desc
)
insert into dripdrop.suppressions as s
    (tenant_key, channel, recipient, recipient_normalized, topic, reason, source, expires_at, metadata,
     inserted_at, updated_at)
select g.tenant, g.channel, g.recipient, g.normalized, g.topic, g.reason::dripdrop.suppression_reason, g.source,
       g.expires_at, g.metadata::jsonb, %(now)s::timestamptz, %(now)s::timestamptz
  from given g
 order by g.tenant, g.channel, g.normalized, g.topic
on conflict on constraint suppressions_once do update set
    recipient = excluded.recipient,
    reason = case when s.expires_at <= excluded.updated_at then excluded.reason
                  else greatest(s.reason, excluded.reason) end,
    source = case when s.expires_at <= excluded.updated_at or excluded.reason >= s.reason
                  then excluded.source else s.source end,
    expires_at = case when s.expires_at <= excluded.updated_at then excluded.expires_at
                      when s.expires_at is null or excluded.expires_at is null then null
                      else greatest(s.expires_at, excluded.expires_at) end,
    metadata = case when s.expires_at <= excluded.updated_at then excluded.metadata
                    when excluded.reason >= s.reason then s.metadata || excluded.metadata
                    else s.metadata end,
    updated_at = excluded.updated_at
returning s.id, s.tenant_key, s.channel, s.recipient, s.recipient_normalized, s.topic, s.reason, s.source,
          s.expires_at, s.metadata, s.inserted_at, s.updated_at;

-- name: lookup
-- The strongest row that blocks each asked recipient, if any: of its own tenant or global, for its topic or for all, of
-- the address or (`@example.org`) of its whole domain.
select (w.nth - 1)::integer as ordinal, f.*
  from unnest(%(tenants)s::text[], %(channels)s::text[], %(normalized)s::text[], %(topics)s::text[])
       with ordinality as w(tenant, channel, normalized, topic, nth)
 cross join lateral (
    select s.id, s.tenant_key, s.channel, s.recipient, s.recipient_normalized, s.topic, s.reason, s.source,
           s.expires_at, s.metadata, s.inserted_at, s.updated_at
      from dripdrop.suppressions s
     where s.tenant_key in ('', w.tenant) and s.channel = w.channel
       and s.recipient_normalized in (w.normalized, case when w.channel = 'email'
                                                         then '@' || split_part(w.normalized, '@', -1) end)
       and s.topic in ('', w.topic) and (s.expires_at is null or s.expires_at > %(now)s::timestamptz)
     order by s.reason desc, s.expires_at desc nulls first, s.id
     limit 1) f
 order by w.nth;

-- name: list
select s.id, s.tenant_key, s.channel, s.recipient, s.recipient_normalized, s.topic, s.reason, s.source,
       s.expires_at, s.metadata, s.inserted_at, s.updated_at
  from dripdrop.suppressions s
 where s.tenant_key in ('', %(tenant)s::text)
   and (%(channel)s::text is null or s.channel = %(channel)s::text)
   and (%(normalized)s::text is null or s.recipient_normalized = %(normalized)s::text)
   and (%(reason)s::text is null or s.reason = %(reason)s::dripdrop.suppression_reason)
   and (%(expired)s::boolean or s.expires_at is null or s.expires_at > %(now)s::timestamptz)
   and (%(after)s::uuid is null or s.id < %(after)s::uuid)
 order by s.id desc
 limit %(limit)s::integer;

-- name: page
-- In the order of the unique index, so that the next page begins where this one ends, however many there are.
select s.id, s.tenant_key, s.channel, s.recipient, s.recipient_normalized, s.topic, s.reason, s.source,
       s.expires_at, s.metadata, s.inserted_at, s.updated_at
  from dripdrop.suppressions s
 where s.tenant_key = %(tenant)s::text and (s.expires_at is null or s.expires_at > %(now)s::timestamptz)
   and (s.channel, s.recipient_normalized, s.topic) > (%(channel)s::text, %(normalized)s::text, %(topic)s::text)
 order by s.channel, s.recipient_normalized, s.topic
 limit %(limit)s::integer;

-- name: lift
with gone as (
    delete from dripdrop.suppressions s
     where s.tenant_key = %(tenant)s::text and s.channel = %(channel)s::text
       and s.recipient_normalized = %(normalized)s::text and s.topic = %(topic)s::text
    returning s.id, s.tenant_key, s.channel, s.recipient, s.recipient_normalized, s.topic, s.reason, s.source,
              s.expires_at, s.metadata, s.inserted_at, s.updated_at
), noted as (
    insert into dripdrop.suppression_history
        (tenant_key, channel, recipient_normalized, topic, action, reason, source, occurred_at, inserted_at)
    select g.tenant_key, g.channel, g.recipient_normalized, g.topic, 'lifted', g.reason, %(source)s::text,
           %(now)s::timestamptz, %(now)s::timestamptz
      from gone g
)
select gone.* from gone;

-- name: resubscribe
-- Takes back a wish and nothing else, and only an earlier one; it is kept where there was nothing to take back, for the
-- wish may still be on its way.
with given as materialized (
    select * from unnest(%(tenants)s::text[], %(channels)s::text[], %(normalized)s::text[], %(topics)s::text[],
                         %(sources)s::text[], %(occurred)s::timestamptz[])
           as g(tenant, channel, normalized, topic, source, occurred)
), noted as (
    insert into dripdrop.suppression_history
        (tenant_key, channel, recipient_normalized, topic, action, source, occurred_at, inserted_at)
    select g.tenant, g.channel, g.normalized, g.topic, 'resubscribed', g.source, g.occurred, %(now)s::timestamptz
      from given g
)
delete from dripdrop.suppressions s
 using given g
 where s.tenant_key = g.tenant and s.channel = g.channel and s.recipient_normalized = g.normalized and s.topic = g.topic
   and s.reason = 'unsubscribe' and not exists (
        select 1 from dripdrop.suppression_history h
         where h.tenant_key = g.tenant and h.channel = g.channel and h.recipient_normalized = g.normalized
           and h.topic = g.topic and h.action = 'added' and h.reason = 'unsubscribe' and h.occurred_at >= g.occurred)
returning s.tenant_key, s.channel, s.recipient_normalized, s.topic;

-- name: history
select h.id, h.tenant_key, h.channel, h.recipient_normalized, h.topic, h.action, h.reason, h.source, h.occurred_at,
       h.inserted_at
  from dripdrop.suppression_history h
 where h.tenant_key in ('', %(tenant)s::text) and h.channel = %(channel)s::text
   and h.recipient_normalized = %(normalized)s::text
   and (%(after)s::uuid is null or h.id < %(after)s::uuid)
 order by h.id desc
 limit %(limit)s::integer;

-- name: execution
-- What an unsubscribe link names: the execution's enrollment, and whether its sequence is of the transactional class.
select x.id, x.enrollment_id, e.state as enrollment_state, e.subscriber_type, e.subscriber_id, x.adapter_id, e.sequence_id,
       coalesce(v.config ->> 'class', '') = 'transactional' as transactional, coalesce(v.config ->> 'topic', '') as topic
  from (select q.id, q.enrollment_id, q.adapter_id from dripdrop.execution_queue q
         where q.id = %(execution)s::uuid and q.tenant_key = %(tenant)s::text
        union all
        select h.id, h.enrollment_id, h.adapter_id from dripdrop.execution_history h
         where h.id = %(execution)s::uuid and h.tenant_key = %(tenant)s::text) x
  join dripdrop.enrollments e on e.id = x.enrollment_id
  join dripdrop.sequence_versions v on v.id = e.sequence_version_id
 limit 1;

-- name: sequence
-- The topic is that of the version people enter now, else of the last.
select v.sequence_id as id, coalesce(v.config ->> 'topic', '') as topic
  from dripdrop.sequence_versions v where v.sequence_id = %(sequence)s::uuid
 order by (v.state = 'active') desc, v.version desc
 limit 1;

-- name: enrolled_as
-- Live marketing enrollments of one sequence in which a piece of an address occurs; whether it is that address, a rule
-- says: no index knows where in a person's data an address stands.
select e.id, e.subscriber_type, e.subscriber_id, d.data
  from dripdrop.enrollments e
  join dripdrop.sequence_versions v on v.id = e.sequence_version_id
  left join dripdrop.enrollment_data d on d.enrollment_id = e.id and d.revision = e.data_revision
 cross join lateral (select lower(e.subscriber_id || ' ' || coalesce(d.data::text, '')) as text) said
 where e.sequence_id = %(sequence)s::uuid and e.tenant_key = %(tenant)s::text and e.state in ('active', 'paused')
   and coalesce(v.config ->> 'class', '') <> 'transactional'
   and strpos(case when %(digits)s::boolean then regexp_replace(said.text, '[^0-9]', '', 'g') else said.text end,
              %(piece)s::text) > 0;

-- name: note_unsubscribe
-- Once per execution, however often the link is used.
insert into dripdrop.message_events
    (tenant_key, step_execution_id, adapter_id, channel, provider, event_type, event_data, occurred_at, inserted_at)
select %(tenant)s::text, %(execution)s::uuid, %(adapter)s::uuid, %(channel)s::text, 'dripdrop', 'unsubscribed',
       %(data)s::jsonb, %(now)s::timestamptz, %(now)s::timestamptz
 where not exists (select 1 from dripdrop.message_events m
                    where m.tenant_key = %(tenant)s::text and m.step_execution_id = %(execution)s::uuid
                      and m.event_type = 'unsubscribed');

-- name: prune_history
-- How a suppression that stands came about is kept for as long as it stands.
delete from dripdrop.suppression_history t
 where t.ctid = any(array(
    select h.ctid from dripdrop.suppression_history h
     where h.inserted_at < %(before)s::timestamptz and not exists (
        select 1 from dripdrop.suppressions s
         where s.tenant_key = h.tenant_key and s.channel = h.channel and s.recipient_normalized = h.recipient_normalized
           and s.topic = h.topic)
     limit %(limit)s::integer for update skip locked))
returning t.id;
