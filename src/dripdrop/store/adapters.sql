-- What one adapter is, and which one a message goes through.

-- name: new_id
select dripdrop.uuid7() as id;

-- name: lock
-- Two writers of one tenant's adapters wait for each other, so a taken name or a second default is an answer, not an error.
select pg_advisory_xact_lock(hashtextextended('dripdrop adapters ' || %(tenant)s::text, 0)) is null as locked;

-- name: insert
insert into dripdrop.channel_adapters
    (id, tenant_key, name, channel, provider, credentials, config, is_default, active, daily_cap,
     ramp_started_at, ramp_increment, ramp_floor, min_gap_seconds, inserted_at, updated_at)
values
    (%(id)s::uuid, %(tenant)s::text, %(name)s::text, %(channel)s::text, %(provider)s::text, %(credentials)s::bytea,
     %(config)s::jsonb, %(is_default)s::boolean, %(active)s::boolean, %(daily_cap)s::integer,
     %(ramp_started_at)s::timestamptz, %(ramp_increment)s::integer, %(ramp_floor)s::integer,
     %(min_gap_seconds)s::integer, %(now)s::timestamptz, %(now)s::timestamptz)
on conflict on constraint channel_adapters_name_taken do nothing
returning id;

-- name: update
update dripdrop.channel_adapters
   set name = %(name)s::text, credentials = %(credentials)s::bytea, config = %(config)s::jsonb,
       is_default = %(is_default)s::boolean, active = %(active)s::boolean, daily_cap = %(daily_cap)s::integer,
       ramp_started_at = %(ramp_started_at)s::timestamptz, ramp_increment = %(ramp_increment)s::integer,
       ramp_floor = %(ramp_floor)s::integer, min_gap_seconds = %(min_gap_seconds)s::integer,
       updated_at = %(now)s::timestamptz
 where id = %(id)s::uuid and tenant_key = %(tenant)s::text
   and not exists (select 1 from dripdrop.channel_adapters other
                    where other.tenant_key = %(tenant)s::text and other.name = %(name)s::text and other.id <> %(id)s::uuid)
returning id;

-- name: clear_default
update dripdrop.channel_adapters
   set is_default = false, updated_at = %(now)s::timestamptz
 where tenant_key = %(tenant)s::text and channel = %(channel)s::text and is_default and id <> %(id)s::uuid;

-- name: get
select a.id, a.tenant_key, a.name, a.channel, a.provider, a.config, a.is_default, a.active, a.credentials,
       a.health_state, a.health_score, case when isfinite(a.resting_until) then a.resting_until end as resting_until,
       a.last_send_at, a.daily_cap, a.ramp_started_at, a.ramp_increment, a.ramp_floor, a.min_gap_seconds,
       a.inserted_at, a.updated_at
  from dripdrop.channel_adapters a
 where a.id = %(id)s::uuid and a.tenant_key in ('', %(tenant)s::text);

-- name: named
select a.id, a.tenant_key, a.name, a.channel, a.provider, a.config, a.is_default, a.active, a.credentials,
       a.health_state, a.health_score, case when isfinite(a.resting_until) then a.resting_until end as resting_until,
       a.last_send_at, a.daily_cap, a.ramp_started_at, a.ramp_increment, a.ramp_floor, a.min_gap_seconds,
       a.inserted_at, a.updated_at
  from dripdrop.channel_adapters a
 where a.name = %(name)s::text and a.tenant_key in ('', %(tenant)s::text)
 order by a.tenant_key desc
 limit 1;

-- name: list
-- Without the credentials: what is never read cannot be shown.
select a.id, a.tenant_key, a.name, a.channel, a.provider, a.config, a.is_default, a.active, null::bytea as credentials,
       a.health_state, a.health_score, case when isfinite(a.resting_until) then a.resting_until end as resting_until,
       a.last_send_at, a.daily_cap, a.ramp_started_at, a.ramp_increment, a.ramp_floor, a.min_gap_seconds,
       a.inserted_at, a.updated_at
  from dripdrop.channel_adapters a
 where a.tenant_key in ('', %(tenant)s::text)
   and (%(channel)s::text is null or a.channel = %(channel)s::text)
   and (%(active)s::boolean is null or a.active = %(active)s::boolean)
 order by a.channel, a.name, a.tenant_key desc;

-- name: load
-- For the worker, across tenants: it holds the ids of adapters that were checked against their tenant when written.
select a.id, a.tenant_key, a.name, a.channel, a.provider, a.config, a.is_default, a.active, a.credentials,
       a.health_state, a.health_score, case when isfinite(a.resting_until) then a.resting_until end as resting_until,
       a.last_send_at, a.daily_cap, a.ramp_started_at, a.ramp_increment, a.ramp_floor, a.min_gap_seconds,
       a.inserted_at, a.updated_at
  from dripdrop.channel_adapters a
 where a.id = any(%(ids)s::uuid[]);

-- name: usable
select a.id, a.tenant_key, a.name, a.channel, a.provider, a.config, a.is_default, a.active, a.credentials,
       a.health_state, a.health_score, case when isfinite(a.resting_until) then a.resting_until end as resting_until,
       a.last_send_at, a.daily_cap, a.ramp_started_at, a.ramp_increment, a.ramp_floor, a.min_gap_seconds,
       a.inserted_at, a.updated_at
  from dripdrop.channel_adapters a
 where a.tenant_key = any(%(tenants)s::text[] || ''::text) and a.channel = any(%(channels)s::text[])
   and a.is_default and a.active
 order by a.tenant_key desc, a.channel;
