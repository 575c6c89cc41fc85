-- Which HTTP endpoints a sequence may ask. A row has the tenant of its sequence.

-- name: new_id
select dripdrop.uuid7() as id;

-- name: insert
insert into dripdrop.http_hooks
    (id, sequence_id, tenant_key, name, key, description, method, url, timeout_ms, retry_count, auth_type, auth_config,
     headers, body_template, response_path, response_type, active, inserted_at, updated_at)
values
    (%(id)s::uuid, %(sequence_id)s::uuid, %(tenant)s::text, %(name)s::text, %(key)s::text, %(description)s::text,
     %(method)s::dripdrop.http_method, %(url)s::text, %(timeout_ms)s::integer, %(retry_count)s::integer,
     %(auth_type)s::dripdrop.auth_type, %(auth_config)s::bytea, %(headers)s::jsonb, %(body_template)s::text,
     %(response_path)s::text, %(response_type)s::dripdrop.response_type, %(active)s::boolean,
     %(now)s::timestamptz, %(now)s::timestamptz)
on conflict on constraint http_hooks_key_taken do nothing
returning id;

-- name: update
update dripdrop.http_hooks
   set name = %(name)s::text,
       description = %(description)s::text,
       method = %(method)s::dripdrop.http_method,
       url = %(url)s::text,
       timeout_ms = %(timeout_ms)s::integer,
       retry_count = %(retry_count)s::integer,
       auth_type = %(auth_type)s::dripdrop.auth_type,
       auth_config = %(auth_config)s::bytea,
       headers = %(headers)s::jsonb,
       body_template = %(body_template)s::text,
       response_path = %(response_path)s::text,
       response_type = %(response_type)s::dripdrop.response_type,
       active = %(active)s::boolean,
       updated_at = %(now)s::timestamptz
 where id = %(id)s::uuid and tenant_key = %(tenant)s::text
returning id;

-- name: tested
update dripdrop.http_hooks
   set last_test_at = %(now)s::timestamptz,
       last_test_result = %(result)s::jsonb
 where id = %(id)s::uuid and tenant_key = %(tenant)s::text;

-- name: get
select h.id, h.sequence_id, q.key as sequence_key, h.tenant_key, h.name, h.key, h.description, h.method::text, h.url, h.timeout_ms,
       h.retry_count, h.auth_type::text, h.auth_config, h.headers, h.body_template, h.response_path,
       h.response_type::text, h.active, h.last_test_at, h.last_test_result, h.inserted_at, h.updated_at
  from dripdrop.http_hooks h
  join dripdrop.sequences q on q.id = h.sequence_id
 where h.id = %(id)s::uuid and h.tenant_key in (%(tenant)s::text, '');

-- name: listed
select h.id, h.sequence_id, q.key as sequence_key, h.tenant_key, h.name, h.key, h.description, h.method::text, h.url, h.timeout_ms,
       h.retry_count, h.auth_type::text, h.auth_config, h.headers, h.body_template, h.response_path,
       h.response_type::text, h.active, h.last_test_at, h.last_test_result, h.inserted_at, h.updated_at
  from dripdrop.http_hooks h
  join dripdrop.sequences q on q.id = h.sequence_id
 where h.sequence_id = %(sequence_id)s::uuid
   and h.tenant_key = %(tenant)s::text
 order by h.key;

-- name: seen
select h.id, h.sequence_id, q.key as sequence_key, h.tenant_key, h.name, h.key, h.description, h.method::text, h.url, h.timeout_ms,
       h.retry_count, h.auth_type::text, h.auth_config, h.headers, h.body_template, h.response_path,
       h.response_type::text, h.active, h.last_test_at, h.last_test_result, h.inserted_at, h.updated_at
  from dripdrop.http_hooks h
  join dripdrop.sequences q on q.id = h.sequence_id
 where h.tenant_key in (%(tenant)s::text, '')
 order by q.key, h.tenant_key, h.key;
