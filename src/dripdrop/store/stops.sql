-- What has been stopped. A row of tenant '' was set by the global scope; `all` of '' stops everything.

-- name: in_force
-- For the worker, across tenants: the table holds a handful of rows.
select s.id, s.tenant_key, s.target_kind, s.target_id, s.reason, s.inserted_at
  from dripdrop.stops s
 order by s.inserted_at, s.id;

-- name: add
insert into dripdrop.stops as s (tenant_key, target_kind, target_id, reason, inserted_at)
values (%(tenant)s::text, %(kind)s::text, %(target)s::uuid, %(reason)s::text, %(now)s::timestamptz)
on conflict on constraint stops_once do update set reason = coalesce(excluded.reason, s.reason)
returning s.id, s.tenant_key, s.target_kind, s.target_id, s.reason, s.inserted_at;

-- name: remove
delete from dripdrop.stops s
 where s.tenant_key = %(tenant)s::text and s.target_kind = %(kind)s::text
   and s.target_id is not distinct from %(target)s::uuid
returning s.id, s.tenant_key, s.target_kind, s.target_id, s.reason, s.inserted_at;

-- name: list
-- The global scope sees every stop; a tenant its own and those that concern everybody.
select s.id, s.tenant_key, s.target_kind, s.target_id, s.reason, s.inserted_at
  from dripdrop.stops s
 where %(tenant)s::text = '' or s.tenant_key in ('', %(tenant)s::text)
 order by s.inserted_at, s.id;
