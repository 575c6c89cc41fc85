-- Short links: which one stands for which, and where one leads.

-- name: found
select l.idempotency_key, l.short_url
  from dripdrop.short_links l
 where l.tenant_key = %(tenant)s::text and l.idempotency_key = any(%(keys)s::text[]) and l.short_url is not null;

-- name: keep
-- A key that is there already keeps its link, and a code that is taken is not taken over: both are left out of the answer.
insert into dripdrop.short_links as l
    (tenant_key, step_execution_id, provider, original_url, destination_url, short_url, external_id, idempotency_key,
     metadata, inserted_at, updated_at)
select %(tenant)s::text, %(execution)s::uuid, %(provider)s::text, g.original, g.destination, g.short, g.external, g.key,
       g.metadata::jsonb, %(now)s::timestamptz, %(now)s::timestamptz
  from unnest(%(keys)s::text[], %(originals)s::text[], %(destinations)s::text[], %(shorts)s::text[],
              %(externals)s::text[], %(metadata)s::text[])
       as g(key, original, destination, short, external, metadata)
 order by g.key
on conflict do nothing
returning l.idempotency_key, l.short_url;

-- name: follow
-- Whoever has the code may follow it, whoever's it is. Clicks within a minute are one: a double click, or somebody who
-- wants to fill the table.
with link as (
    select l.tenant_key, l.step_execution_id, l.destination_url, l.external_id, l.metadata ->> 'channel' as channel
      from dripdrop.short_links l
     where l.provider = 'builtin' and l.external_id = %(code)s::text
), noted as (
    insert into dripdrop.message_events
        (tenant_key, step_execution_id, adapter_id, channel, provider, event_type, event_data, occurred_at, inserted_at)
    select l.tenant_key, l.step_execution_id, x.adapter_id, coalesce(l.channel, 'email'), 'dripdrop', 'clicked',
           jsonb_build_object('url', l.destination_url, 'code', l.external_id, 'user_agent', %(agent)s::text),
           %(now)s::timestamptz, %(now)s::timestamptz
      from link l
      left join lateral (
        select q.adapter_id from dripdrop.execution_queue q where q.id = l.step_execution_id
        union all
        select h.adapter_id from dripdrop.execution_history h where h.id = l.step_execution_id
         limit 1) x on true
     where %(counted)s::boolean and l.step_execution_id is not null
       and not exists (select 1 from dripdrop.message_events m
                        where m.step_execution_id = l.step_execution_id and m.event_type = 'clicked'
                          and m.event_data ->> 'code' = l.external_id
                          and m.occurred_at > %(now)s::timestamptz - interval '1 minute')
)
select l.destination_url from link l;
