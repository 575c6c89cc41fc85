-- The raw inbox: what providers posted to us, as it came.

-- name: spend
-- Keys that may be used only once, of one adapter: what comes back was new.
insert into dripdrop.seen_events (adapter_id, event_key, seen_at)
select %(adapter)s::uuid, g.key, %(now)s::timestamptz from unnest(%(keys)s::text[]) as g(key) order by g.key
on conflict do nothing
returning event_key;

-- name: spent
select s.event_key from dripdrop.seen_events s where s.adapter_id = %(adapter)s::uuid and s.event_key = any(%(keys)s::text[]);

-- name: store
insert into dripdrop.webhook_requests (tenant_key, adapter_id, provider, headers, body, due_at, received_at)
values (%(tenant)s::text, %(adapter)s::uuid, %(provider)s::text, %(headers)s::jsonb, %(body)s::bytea,
        %(now)s::timestamptz, %(now)s::timestamptz)
returning id;

-- name: claim
-- Put off as it is taken, so that whoever dies over it loses nothing, and what kills its reader again and again is left
-- in the end. An array of ctids keeps this a scan of the index of what is due.
update dripdrop.webhook_requests r
   set retries = r.retries + 1,
       due_at = %(now)s::timestamptz + interval '1 minute' * power(2, least(r.retries, 6)),
       state = case when r.retries >= %(most)s::integer then 'failed' else r.state end,
       reason = case when r.retries >= %(most)s::integer then coalesce(r.reason, 'given_up') else r.reason end
 where r.ctid = any(array(
    select w.ctid from dripdrop.webhook_requests w
     where w.state = 'stored' and w.due_at <= %(now)s::timestamptz
     order by w.due_at limit %(limit)s::integer for update skip locked))
returning r.id, r.state, r.tenant_key, r.adapter_id, r.provider, r.headers, r.body, r.retries, r.received_at,
          (select a.channel from dripdrop.channel_adapters a where a.id = r.adapter_id) as channel;

-- name: finish
-- Only where nobody has taken it meanwhile: `retries` is what was read with the claim. The ids are named twice so that
-- the rows are found by them, and not by a walk through everything that is stored.
update dripdrop.webhook_requests r
   set state = g.state, reason = g.reason, due_at = g.due_at,
       processed_at = case when g.state <> 'stored' then %(now)s::timestamptz end
  from unnest(%(ids)s::uuid[], %(retries)s::integer[], %(states)s::text[], %(reasons)s::text[], %(due_at)s::timestamptz[])
    as g(id, retries, state, reason, due_at)
 where r.id = any(%(ids)s::uuid[]) and r.id = g.id and r.retries = g.retries and r.state = 'stored'
returning r.id;

-- name: list
select r.id, r.tenant_key, r.adapter_id, r.provider, r.state, r.reason, r.retries, r.due_at, r.received_at, r.processed_at,
       octet_length(r.body) as size
  from dripdrop.webhook_requests r
 where r.tenant_key = %(tenant)s::text and (%(state)s::text is null or r.state = %(state)s::text)
   and (%(after)s::uuid is null or r.id < %(after)s::uuid)
 order by r.id desc
 limit %(limit)s::integer;

-- name: get
select r.id, r.tenant_key, r.adapter_id, r.provider, r.state, r.reason, r.retries, r.due_at, r.received_at, r.processed_at,
       octet_length(r.body) as size, r.headers, r.body
  from dripdrop.webhook_requests r
 where r.id = %(id)s::uuid and r.tenant_key = %(tenant)s::text;

-- name: replay
update dripdrop.webhook_requests r
   set state = 'stored', retries = 0, due_at = %(now)s::timestamptz, reason = null, processed_at = null
 where r.id = %(id)s::uuid and r.tenant_key = %(tenant)s::text
returning r.id;

-- name: prune_requests
-- What is still to be processed stays, however old.
delete from dripdrop.webhook_requests r
 where r.ctid = any(array(
    select w.ctid from dripdrop.webhook_requests w
     where w.received_at < %(before)s::timestamptz and w.state <> 'stored'
     limit %(limit)s::integer for update skip locked))
returning r.id;

-- name: prune_seen
delete from dripdrop.seen_events s
 where s.ctid = any(array(
    select e.ctid from dripdrop.seen_events e where e.seen_at < %(before)s::timestamptz
     limit %(limit)s::integer for update skip locked))
returning s.adapter_id;

-- name: next_due
select min(t.due_at) as at from (
    select w.due_at from dripdrop.webhook_requests w where w.state = 'stored' and w.due_at > %(after)s::timestamptz
    union all
    select c.due_at from dripdrop.callbacks c where c.state = 'waiting' and c.due_at > %(after)s::timestamptz) t;

-- name: owe
insert into dripdrop.callbacks (tenant_key, name, payload, due_at, inserted_at)
select g.tenant, g.name, g.payload::jsonb, %(now)s::timestamptz, %(now)s::timestamptz
  from unnest(%(tenants)s::text[], %(names)s::text[], %(payloads)s::text[]) as g(tenant, name, payload);

-- name: claim_calls
update dripdrop.callbacks c
   set retries = c.retries + 1,
       due_at = %(now)s::timestamptz + interval '1 minute' * power(2, least(c.retries, 8)),
       state = case when c.retries >= %(most)s::integer then 'failed' else c.state end
 where c.ctid = any(array(
    select w.ctid from dripdrop.callbacks w
     where w.state = 'waiting' and w.due_at <= %(now)s::timestamptz and w.name = any(%(names)s::text[])
     order by w.due_at limit %(limit)s::integer for update skip locked))
returning c.id, c.tenant_key, c.name, c.state, c.payload, c.retries;

-- name: called
delete from dripdrop.callbacks c where c.id = any(%(ids)s::uuid[]);

-- name: not_called
update dripdrop.callbacks c set reason = %(reason)s::text where c.id = %(id)s::uuid;
