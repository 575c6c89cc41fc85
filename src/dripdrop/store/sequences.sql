-- Sequences, their versions and the parts of versions. A scope sees its own rows and the global ones ('').

-- name: find_by_key
-- The tenant's own before the global one.
select * from dripdrop.sequences
 where key = %(key)s::text and tenant_key in ('', %(tenant)s::text)
 order by tenant_key desc limit 1;

-- name: find_by_id
select * from dripdrop.sequences where id = %(id)s::uuid and tenant_key in ('', %(tenant)s::text);

-- name: listed
select * from dripdrop.sequences
 where tenant_key in ('', %(tenant)s::text) and (%(active)s::boolean is null or active = %(active)s::boolean)
 order by key, tenant_key desc;

-- name: insert
insert into dripdrop.sequences
    (tenant_key, key, name, description, hook_module, active, metadata, inserted_at, updated_at)
values (%(tenant)s::text, %(key)s::text, %(name)s::text, %(description)s::text, %(hook_module)s::text,
        %(active)s::boolean, %(metadata)s::jsonb, %(now)s::timestamptz, %(now)s::timestamptz)
on conflict (tenant_key, key) do nothing
returning *;

-- name: update
update dripdrop.sequences
   set name = %(name)s::text, description = %(description)s::text, hook_module = %(hook_module)s::text,
       active = %(active)s::boolean, metadata = %(metadata)s::jsonb, updated_at = %(now)s::timestamptz
 where id = %(id)s::uuid and tenant_key = %(tenant)s::text
returning *;

-- name: delete
delete from dripdrop.sequences where id = %(id)s::uuid and tenant_key = %(tenant)s::text returning *;

-- name: lock
-- Whoever numbers, activates or applies a version holds the sequence: there is one next number and one active version.
select * from dripdrop.sequences where id = %(id)s::uuid and tenant_key = %(tenant)s::text for update;

-- name: version_of_scope
select v.* from dripdrop.sequence_versions v
 where v.id = %(id)s::uuid and v.tenant_key in ('', %(tenant)s::text);

-- name: versions
select v.* from dripdrop.sequence_versions v
 where v.sequence_id = %(sequence_id)s::uuid and v.tenant_key in ('', %(tenant)s::text)
 order by v.version;

-- name: max_version
select coalesce(max(v.version), 0) as number from dripdrop.sequence_versions v
 where v.sequence_id = %(sequence_id)s::uuid and v.tenant_key in ('', %(tenant)s::text);

-- name: active_id
-- By id alone: the sequence was found in a scope, or stands in an enrollment.
select v.id from dripdrop.sequence_versions v where v.sequence_id = %(sequence_id)s::uuid and v.state = 'active';

-- name: insert_version
insert into dripdrop.sequence_versions
    (sequence_id, tenant_key, version, name, mode, config, digest, inserted_at, updated_at)
values (%(sequence_id)s::uuid, %(tenant)s::text, %(number)s::integer, %(name)s::text, %(mode)s::text,
        %(config)s::jsonb, %(digest)s::bytea, %(now)s::timestamptz, %(now)s::timestamptz)
on conflict (sequence_id, version) do nothing
returning *;

-- name: archive_others
-- Before the activation, since at no moment may there be two active versions.
update dripdrop.sequence_versions set state = 'archived', updated_at = %(now)s::timestamptz
 where sequence_id = %(sequence_id)s::uuid and tenant_key = %(tenant)s::text
   and state = 'active' and id <> %(id)s::uuid;

-- name: activate
update dripdrop.sequence_versions
   set state = 'active', published_at = %(now)s::timestamptz, updated_at = %(now)s::timestamptz,
       digest = coalesce(%(digest)s::bytea, digest)
 where id = %(id)s::uuid and tenant_key = %(tenant)s::text and state::text = any(%(sources)s::text[])
returning *;

-- name: archive
update dripdrop.sequence_versions set state = 'archived', updated_at = %(now)s::timestamptz
 where id = %(id)s::uuid and tenant_key = %(tenant)s::text and state::text = any(%(sources)s::text[])
returning *;

-- name: load_head
-- By id alone: whoever names a version holds an enrollment in it, or has found it in a scope.
select v.id, v.sequence_id, v.tenant_key, v.version, v.state, v.mode, v.config, v.digest,
       s.key as sequence_key, s.name as sequence_name, s.description, s.hook_module, s.metadata
  from dripdrop.sequence_versions v join dripdrop.sequences s on s.id = v.sequence_id
 where v.id = %(id)s::uuid;

-- name: load_steps
select * from dripdrop.steps where sequence_version_id = %(id)s::uuid order by position nulls last, key;

-- name: load_transitions
select t.id, origin.key as origin, target.key as target, t.condition_mode, t.priority
  from dripdrop.step_transitions t
  left join dripdrop.steps origin on origin.id = t.from_step_id
  left join dripdrop.steps target on target.id = t.to_step_id
 where t.sequence_version_id = %(id)s::uuid
 order by t.priority, t.id;

-- name: load_conditions
select c.* from dripdrop.conditions c
  left join dripdrop.steps s on s.id = c.step_id
  left join dripdrop.step_transitions t on t.id = c.transition_id
 where coalesce(s.sequence_version_id, t.sequence_version_id) = %(id)s::uuid
 order by c.ordinal, c.id;

-- name: latest_step
select s.id, s.sequence_version_id from dripdrop.steps s
  join dripdrop.sequence_versions v on v.id = s.sequence_version_id
 where v.sequence_id = %(sequence_id)s::uuid and v.tenant_key in ('', %(tenant)s::text) and s.key = %(key)s::text
 order by v.version desc limit 1;

-- name: owner_of_step
select s.sequence_version_id as version_id from dripdrop.steps s
 where s.id = %(id)s::uuid and s.tenant_key in ('', %(tenant)s::text);

-- name: owner_of_transition
select t.sequence_version_id as version_id from dripdrop.step_transitions t
 where t.id = %(id)s::uuid and t.tenant_key in ('', %(tenant)s::text);

-- name: new_ids
select dripdrop.uuid7() as id from generate_series(1, %(count)s::integer);

-- name: insert_steps
insert into dripdrop.steps
    (id, sequence_version_id, tenant_key, name, key, position, channel, timing, template_type, template_content,
     template_module, template_function, channel_adapter_id, adapter_override_id, gate_mode, config, active,
     inserted_at, updated_at)
select r.id, %(version_id)s::uuid, %(tenant)s::text, r.name, r.key, r.position, r.channel, r.timing,
       r.template_type::dripdrop.template_type, r.template_content, r.template_module, r.template_function,
       r.channel_adapter_id, r.adapter_override_id, r.gate_mode::dripdrop.condition_mode, r.config, r.active,
       %(now)s::timestamptz, %(now)s::timestamptz
  from jsonb_to_recordset(%(rows)s::jsonb) as r
       (id uuid, name text, key text, position integer, channel text, timing jsonb, template_type text,
        template_content jsonb, template_module text, template_function text, channel_adapter_id uuid,
        adapter_override_id uuid, gate_mode text, config jsonb, active boolean)
on conflict do nothing
returning id;

-- name: update_step
-- Its key stays: ways name the step by its id, and people read it in reports.
update dripdrop.steps s
   set name = r.name, position = r.position, channel = r.channel, timing = r.timing,
       template_type = r.template_type::dripdrop.template_type, template_content = r.template_content,
       template_module = r.template_module, template_function = r.template_function,
       channel_adapter_id = r.channel_adapter_id, adapter_override_id = r.adapter_override_id, config = r.config,
       active = r.active, updated_at = %(now)s::timestamptz
  from jsonb_to_recordset(%(rows)s::jsonb) as r
       (id uuid, name text, position integer, channel text, timing jsonb, template_type text, template_content jsonb,
        template_module text, template_function text, channel_adapter_id uuid, adapter_override_id uuid, config jsonb,
        active boolean)
 where s.id = r.id and s.tenant_key = %(tenant)s::text
   and not exists (select 1 from dripdrop.steps o
                    where o.sequence_version_id = s.sequence_version_id and o.id <> s.id and o.position = r.position)
returning s.id;

-- name: delete_step
-- Its conditions and the ways from and to it go with it.
delete from dripdrop.steps where id = %(id)s::uuid and tenant_key = %(tenant)s::text returning id;

-- name: insert_transitions
insert into dripdrop.step_transitions
    (id, sequence_version_id, tenant_key, from_step_id, to_step_id, condition_mode, priority, inserted_at, updated_at)
select r.id, %(version_id)s::uuid, %(tenant)s::text, r.from_step_id, r.to_step_id,
       r.condition_mode::dripdrop.condition_mode, r.priority, %(now)s::timestamptz, %(now)s::timestamptz
  from jsonb_to_recordset(%(rows)s::jsonb) as r
       (id uuid, from_step_id uuid, to_step_id uuid, condition_mode text, priority integer);

-- name: insert_conditions
insert into dripdrop.conditions
    (id, tenant_key, step_id, transition_id, ordinal, condition_type, operator, hook_function, field_path,
     expected_value, config, inserted_at, updated_at)
select r.id, %(tenant)s::text, r.step_id, r.transition_id, r.ordinal, r.condition_type::dripdrop.condition_type,
       r.operator::dripdrop.condition_operator, r.hook_function, r.field_path,
       -- JSON's null is a missing expectation, not an expected null.
       nullif(r.expected_value, 'null'), r.config, %(now)s::timestamptz, %(now)s::timestamptz
  from jsonb_to_recordset(%(rows)s::jsonb) as r
       (id uuid, step_id uuid, transition_id uuid, ordinal integer, condition_type text, operator text,
        hook_function text, field_path text, expected_value jsonb, config jsonb);

-- name: count_conditions
select count(*)::integer as number from dripdrop.conditions c where c.step_id = %(id)s::uuid or c.transition_id = %(id)s::uuid;

-- name: in_use
select exists (select 1 from dripdrop.enrollments e where e.sequence_id = %(id)s::uuid) as used;
