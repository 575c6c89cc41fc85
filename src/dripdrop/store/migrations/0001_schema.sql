-- deployment: pre
-- The whole shape. No business column defaults to the server's clock: `now` is handed to every statement.

create type dripdrop.sequence_version_state as enum ('draft', 'active', 'archived');
create type dripdrop.template_type as enum ('inline', 'module', 'external');
create type dripdrop.condition_mode as enum ('always', 'all', 'any');
create type dripdrop.http_method as enum ('GET', 'POST', 'PUT', 'PATCH', 'DELETE');
create type dripdrop.auth_type as enum ('none', 'bearer', 'basic', 'header');
create type dripdrop.response_type as enum ('json', 'text', 'number', 'boolean');
create type dripdrop.condition_type as enum ('hook', 'enrollment_data', 'event', 'predicate', 'time_window');
create type dripdrop.condition_operator as enum ('==', '!=', '>', '<', '>=', '<=', 'in', 'contains');
create type dripdrop.enrollment_state as enum ('active', 'paused', 'completed', 'cancelled');
create type dripdrop.step_execution_state as enum
    ('scheduled', 'waiting', 'claiming', 'sending', 'unknown', 'sent', 'failed', 'skipped', 'cancelled');
create type dripdrop.execution_kind as enum ('path', 'replay', 'advance');
create type dripdrop.attempt_outcome as enum ('succeeded', 'failed', 'rejected', 'bounced', 'unknown');
create type dripdrop.suppression_reason as enum ('manual', 'provider_block', 'unsubscribe', 'bounce', 'complaint');
create type dripdrop.message_event_type as enum
    ('delivered', 'bounced', 'complained', 'opened', 'clicked', 'replied', 'unsubscribed', 'sent', 'failed', 'skipped',
     'deferred', 'suppressed', 'accepted', 'rejected', 'resubscribed');

-- uuidv7 is native from PostgreSQL 18 on; before, it is put together from a random uuid and the clock.
do $$
begin
    if current_setting('server_version_num')::int >= 180000 then
        create function dripdrop.uuid7() returns uuid language sql volatile parallel safe
            as 'select pg_catalog.uuidv7()';
    else
        create function dripdrop.uuid7() returns uuid language sql volatile parallel safe
            as 'select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
                substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
                52, 1), 53, 1), ''hex'')::uuid';
    end if;
end
$$;

-- The smallest id that can have been made at or after a moment: the bound of a partition.
create function dripdrop.uuid7_floor(moment timestamptz) returns uuid language sql immutable parallel safe
    as $$ select (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid $$;

create function dripdrop.refuse_move() returns trigger language plpgsql as $$
begin
    raise exception 'illegal move of %: % -> %', tg_table_name,
        case when tg_op = 'INSERT' then 'nothing' else old.state::text end, new.state
        using errcode = 'check_violation', constraint = tg_name;
end
$$;

create table dripdrop.clock (
    id boolean primary key default true check (id),
    ahead interval not null default interval '0'
);
insert into dripdrop.clock default values;

create table dripdrop.sequences (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    key text not null check (key ~ '^[a-z0-9][a-z0-9_-]*$'),
    name text not null,
    description text,
    hook_module text,
    active boolean not null default true,
    metadata jsonb not null default '{}',
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint sequences_key_taken unique (tenant_key, key)
);

create table dripdrop.sequence_versions (
    id uuid primary key default dripdrop.uuid7(),
    sequence_id uuid not null references dripdrop.sequences on delete cascade,
    tenant_key text not null,
    version integer not null check (version > 0),
    name text,
    state dripdrop.sequence_version_state not null default 'draft',
    mode text not null default 'lifecycle' check (mode in ('lifecycle', 'outbound')),
    config jsonb not null default '{}',
    digest bytea,
    published_at timestamptz,
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint sequence_versions_number_taken unique (sequence_id, version)
);
create unique index sequence_versions_one_active on dripdrop.sequence_versions (sequence_id) where state = 'active';

create function dripdrop.keep_published_version() returns trigger language plpgsql as $$
begin
    raise exception 'version % is % and stays as it was published', old.version, old.state
        using errcode = 'check_violation', constraint = 'version_is_published';
end
$$;
create trigger sequence_versions_published before update on dripdrop.sequence_versions
    for each row when (old.state <> 'draft'
        and (old.sequence_id is distinct from new.sequence_id or old.tenant_key is distinct from new.tenant_key
            or old.version is distinct from new.version or old.mode is distinct from new.mode
            or old.config is distinct from new.config))
    execute function dripdrop.keep_published_version();

create trigger sequence_versions_move before update of state on dripdrop.sequence_versions
    for each row when (old.state is distinct from new.state and not (
        (old.state in ('draft', 'archived') and new.state = 'active') or (old.state = 'active' and new.state = 'archived')))
    execute function dripdrop.refuse_move();

create table dripdrop.channel_adapters (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    name text not null,
    channel text not null,
    provider text not null,
    credentials bytea,
    config jsonb not null default '{}',
    is_default boolean not null default false,
    active boolean not null default true,
    health_state text check (health_state in ('active', 'resting', 'probing', 'ramping')),
    health_score numeric check (health_score between 0 and 1),
    resting_until timestamptz,
    last_send_at timestamptz,
    daily_cap integer check (daily_cap > 0),
    ramp_started_at timestamptz,
    ramp_increment integer check (ramp_increment > 0),
    ramp_floor integer check (ramp_floor >= 0),
    min_gap_seconds integer check (min_gap_seconds >= 0),
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint channel_adapters_name_taken unique (tenant_key, name)
);
create unique index channel_adapters_one_default on dripdrop.channel_adapters (tenant_key, channel) where is_default;

create table dripdrop.steps (
    id uuid primary key default dripdrop.uuid7(),
    sequence_version_id uuid not null references dripdrop.sequence_versions on delete cascade,
    tenant_key text not null,
    name text not null,
    key text not null,
    position integer,
    channel text not null,
    timing jsonb not null default '{"type": "immediate"}',
    template_type dripdrop.template_type not null default 'inline',
    template_content jsonb not null default '{}',
    template_module text,
    template_function text,
    channel_adapter_id uuid references dripdrop.channel_adapters on delete set null,
    adapter_override_id uuid references dripdrop.channel_adapters on delete set null,
    gate_mode dripdrop.condition_mode not null default 'all',
    config jsonb not null default '{}',
    active boolean not null default true,
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint steps_key_taken unique (sequence_version_id, key),
    constraint steps_position_taken unique (sequence_version_id, position),
    constraint steps_one_adapter check (channel_adapter_id is null or adapter_override_id is null)
);

create table dripdrop.step_transitions (
    id uuid primary key default dripdrop.uuid7(),
    sequence_version_id uuid not null references dripdrop.sequence_versions on delete cascade,
    tenant_key text not null,
    from_step_id uuid references dripdrop.steps on delete cascade,
    to_step_id uuid references dripdrop.steps on delete cascade,
    condition_mode dripdrop.condition_mode not null default 'always',
    priority integer not null default 0,
    config jsonb not null default '{}',
    inserted_at timestamptz not null,
    updated_at timestamptz not null
);
create index step_transitions_version on dripdrop.step_transitions (sequence_version_id);

create table dripdrop.http_hooks (
    id uuid primary key default dripdrop.uuid7(),
    sequence_id uuid not null references dripdrop.sequences on delete cascade,
    tenant_key text not null,
    name text not null,
    key text not null,
    description text,
    method dripdrop.http_method not null default 'POST',
    url text not null,
    timeout_ms integer not null default 5000 check (timeout_ms between 1 and 30000),
    retry_count integer not null default 2 check (retry_count between 0 and 5),
    auth_type dripdrop.auth_type not null default 'none',
    auth_config bytea,
    headers jsonb not null default '{}',
    body_template text,
    response_path text,
    response_type dripdrop.response_type not null default 'json',
    active boolean not null default true,
    last_test_at timestamptz,
    last_test_result jsonb,
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint http_hooks_key_taken unique (sequence_id, key)
);

create table dripdrop.conditions (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    step_id uuid references dripdrop.steps on delete cascade,
    transition_id uuid references dripdrop.step_transitions on delete cascade,
    ordinal integer not null default 0,
    condition_type dripdrop.condition_type not null,
    operator dripdrop.condition_operator not null default '==',
    hook_function text,
    http_hook_id uuid references dripdrop.http_hooks on delete set null,
    field_path text,
    expected_value jsonb,
    config jsonb not null default '{}',
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint conditions_step_or_transition_xor check ((step_id is null) <> (transition_id is null))
);
create index conditions_step on dripdrop.conditions (step_id) where step_id is not null;
create index conditions_transition on dripdrop.conditions (transition_id) where transition_id is not null;

-- A published version never changes, and goes away only as a whole.
create function dripdrop.keep_published_parts() returns trigger language plpgsql as $$
declare
    loose text[] := array['active', 'updated_at', 'channel_adapter_id', 'adapter_override_id', 'http_hook_id'];
    part jsonb;
    version_state text;
begin
    if tg_op = 'UPDATE' and to_jsonb(new) - loose = to_jsonb(old) - loose then
        return new;
    end if;
    -- Both rows: a part may neither leave a published version nor enter one.
    foreach part in array case tg_op
        when 'INSERT' then array[to_jsonb(new)] when 'DELETE' then array[to_jsonb(old)]
        else array[to_jsonb(old), to_jsonb(new)] end
    loop
        -- The lock: whoever publishes holds the sequence for update, and the two wait for each other.
        select v.state into version_state
          from dripdrop.sequence_versions v join dripdrop.sequences q on q.id = v.sequence_id
         where v.id = coalesce(
            (part ->> 'sequence_version_id')::uuid,
            (select s.sequence_version_id from dripdrop.steps s where s.id = (part ->> 'step_id')::uuid),
            (select t.sequence_version_id from dripdrop.step_transitions t where t.id = (part ->> 'transition_id')::uuid))
           for key share of v, q;
        if version_state in ('active', 'archived') then
            raise exception '% belong to a version that is %', tg_table_name, version_state
                using errcode = 'check_violation', constraint = 'version_is_published';
        end if;
    end loop;
    return case when tg_op = 'DELETE' then old else new end;
end
$$;
create trigger steps_published before insert or update or delete on dripdrop.steps
    for each row execute function dripdrop.keep_published_parts();
create trigger step_transitions_published before insert or update or delete on dripdrop.step_transitions
    for each row execute function dripdrop.keep_published_parts();
create trigger conditions_published before insert or update or delete on dripdrop.conditions
    for each row execute function dripdrop.keep_published_parts();

create table dripdrop.enrollments (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    sequence_id uuid not null,
    sequence_version_id uuid not null,
    subscriber_type text not null check (subscriber_type <> ''),
    subscriber_id text not null check (subscriber_id <> ''),
    state dripdrop.enrollment_state not null default 'active',
    reason text,
    current_step_id uuid,
    adapter_id uuid,
    effective_mode text check (effective_mode in ('lifecycle', 'outbound')),
    seq integer not null default 0,
    visits integer not null default 0,
    data_revision integer not null default 1,
    remaining interval,
    started_at timestamptz not null,
    completed_at timestamptz,
    cancelled_at timestamptz,
    updated_at timestamptz not null,
    metadata jsonb not null default '{}',
    constraint enrollments_pin check (adapter_id is null or effective_mode = 'outbound')
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
create unique index enrollments_one_live
    on dripdrop.enrollments (tenant_key, sequence_id, subscriber_type, subscriber_id) where state in ('active', 'paused');
create index enrollments_subscriber on dripdrop.enrollments (tenant_key, subscriber_type, subscriber_id);
create index enrollments_sequence on dripdrop.enrollments (sequence_id, state);

create trigger enrollments_move before update of state on dripdrop.enrollments
    for each row when (old.state is distinct from new.state and not (
        (old.state = 'active' and new.state in ('paused', 'completed', 'cancelled'))
        or (old.state = 'paused' and new.state in ('active', 'cancelled'))))
    execute function dripdrop.refuse_move();
create trigger enrollments_begin before insert on dripdrop.enrollments
    for each row when (new.state <> 'active') execute function dripdrop.refuse_move();

-- Enrollments carry no foreign key: the key-share lock of each row on the one version row would cost more than the
-- insert. One look per statement keeps the same promise, and the tenant's.
create function dripdrop.check_enrollment_parents() returns trigger language plpgsql as $$
begin
    if exists (
        select 1 from (select distinct sequence_id, sequence_version_id, adapter_id, tenant_key from fresh) f
        left join dripdrop.sequence_versions v on v.id = f.sequence_version_id and v.sequence_id = f.sequence_id
        left join dripdrop.channel_adapters a on a.id = f.adapter_id
        where v.id is null or v.tenant_key not in ('', f.tenant_key)
           or (f.adapter_id is not null and (a.id is null or a.tenant_key not in ('', f.tenant_key)))
    ) then
        raise exception 'an enrollment names a version or adapter that is not there for its tenant'
            using errcode = 'foreign_key_violation', constraint = 'enrollments_parents';
    end if;
    return null;
end
$$;
create trigger enrollments_parents_insert after insert on dripdrop.enrollments
    referencing new table as fresh for each statement execute function dripdrop.check_enrollment_parents();

create function dripdrop.check_enrollment_moved() returns trigger language plpgsql as $$
begin
    if not exists (select 1 from dripdrop.sequence_versions v where v.id = new.sequence_version_id
                      and v.sequence_id = new.sequence_id and v.tenant_key in ('', new.tenant_key))
       or (new.adapter_id is not null and not exists (select 1 from dripdrop.channel_adapters a
            where a.id = new.adapter_id and a.tenant_key in ('', new.tenant_key))) then
        raise exception 'an enrollment names a version or adapter that is not there for its tenant'
            using errcode = 'foreign_key_violation', constraint = 'enrollments_parents';
    end if;
    return null;
end
$$;
create trigger enrollments_parents_update
    after update of tenant_key, sequence_id, sequence_version_id, adapter_id on dripdrop.enrollments
    for each row when (old.tenant_key is distinct from new.tenant_key or old.sequence_id is distinct from new.sequence_id
        or old.sequence_version_id is distinct from new.sequence_version_id or old.adapter_id is distinct from new.adapter_id)
    execute function dripdrop.check_enrollment_moved();

create function dripdrop.keep_versions_in_use() returns trigger language plpgsql as $$
begin
    -- Whoever is inserting an enrollment finishes first; whoever comes later finds the version gone.
    lock table dripdrop.enrollments in share row exclusive mode;
    if exists (select 1 from dripdrop.enrollments e
                where e.sequence_id = old.sequence_id and e.sequence_version_id = old.id) then
        raise exception 'version % still has enrollments', old.version
            using errcode = 'foreign_key_violation', constraint = 'enrollments_version';
    end if;
    return old;
end
$$;
create trigger sequence_versions_in_use before delete on dripdrop.sequence_versions
    for each row execute function dripdrop.keep_versions_in_use();

create table dripdrop.enrollment_data (
    enrollment_id uuid not null,
    revision integer not null,
    data jsonb not null,
    inserted_at timestamptz not null,
    primary key (enrollment_id, revision)
);

-- Hot and narrow: one row per live execution. Free rows (no worker) are found by when they are due, held ones by worker.
create table dripdrop.execution_queue (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    enrollment_id uuid not null,
    step_id uuid not null,
    visit integer not null,
    kind dripdrop.execution_kind not null default 'path',
    of_id uuid,
    state dripdrop.step_execution_state not null default 'scheduled'
        check (state in ('scheduled', 'waiting', 'claiming', 'sending', 'unknown', 'failed')),
    due_at timestamptz not null,
    worker_id uuid,
    token bigint not null default 0,
    attempt integer not null default 0,
    refusals integer not null default 0,
    retries integer not null default 0,
    adapter_id uuid,
    constraint execution_queue_replay check ((kind = 'replay') = (of_id is not null)),
    constraint execution_queue_held check (state not in ('claiming', 'sending') or worker_id is not null)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
create unique index execution_queue_one_live on dripdrop.execution_queue (enrollment_id) where kind <> 'replay';
create index execution_queue_due on dripdrop.execution_queue (due_at) where worker_id is null;
create index execution_queue_held on dripdrop.execution_queue (worker_id) where worker_id is not null;
create index execution_queue_replays on dripdrop.execution_queue (enrollment_id) where kind = 'replay';

create trigger execution_queue_move before update of state on dripdrop.execution_queue
    for each row when (old.state is distinct from new.state and not (
        (old.state = 'scheduled' and new.state in ('claiming', 'waiting'))
        or (old.state = 'waiting' and new.state = 'scheduled')
        or (old.state = 'claiming' and new.state in ('scheduled', 'waiting', 'sending', 'failed'))
        or (old.state = 'sending' and new.state in ('scheduled', 'unknown', 'failed'))
        or (old.state = 'unknown' and new.state in ('scheduled', 'failed'))
        or (old.state = 'failed' and new.state = 'scheduled')))
    execute function dripdrop.refuse_move();
create trigger execution_queue_begin before insert on dripdrop.execution_queue
    for each row when (new.state not in ('scheduled', 'waiting')) execute function dripdrop.refuse_move();

create table dripdrop.execution_history (
    id uuid not null primary key,
    tenant_key text not null,
    enrollment_id uuid not null,
    step_id uuid not null,
    visit integer not null,
    kind dripdrop.execution_kind not null,
    of_id uuid,
    from_state dripdrop.step_execution_state not null,
    state dripdrop.step_execution_state not null,
    reason text,
    due_at timestamptz not null,
    ended_at timestamptz not null,
    attempt integer not null,
    refusals integer not null,
    retries integer not null,
    adapter_id uuid,
    constraint execution_history_move check (
        (from_state in ('scheduled', 'waiting', 'claiming') and state in ('skipped', 'cancelled'))
        or (from_state = 'claiming' and state = 'failed')
        or (from_state in ('sending', 'unknown') and state in ('sent', 'failed', 'cancelled'))
        or (from_state = 'failed' and state = 'cancelled'))
) partition by range (id);
create index execution_history_enrollment on dripdrop.execution_history (enrollment_id);
create table dripdrop.execution_history_default partition of dripdrop.execution_history default;

create table dripdrop.delivery_attempts (
    execution_id uuid not null,
    number integer not null,
    tenant_key text not null,
    adapter_id uuid,
    refusals integer not null,
    recipient text,
    started_at timestamptz not null,
    business_at timestamptz not null,
    version_id uuid not null,
    data_revision integer not null,
    answers jsonb,
    digest bytea,
    finished_at timestamptz,
    outcome dripdrop.attempt_outcome,
    error_class text,
    provider_message_id text,
    provider_response jsonb,
    primary key (execution_id, number),
    constraint delivery_attempts_finished check ((finished_at is null) = (outcome is null))
) partition by range (execution_id);
create table dripdrop.delivery_attempts_default partition of dripdrop.delivery_attempts default;

create table dripdrop.journal (
    id uuid not null default dripdrop.uuid7(),
    tenant_key text not null,
    enrollment_id uuid not null,
    seq integer not null,
    ordinal smallint not null default 0,
    execution_id uuid,
    step_id uuid,
    event text not null,
    from_state text,
    to_state text,
    reasons jsonb not null default '[]',
    gates smallint not null default 1,
    at timestamptz not null,
    times integer not null default 1,
    last_at timestamptz
) partition by range (id);
create index journal_enrollment on dripdrop.journal (enrollment_id, seq, ordinal);
create table dripdrop.journal_default partition of dripdrop.journal default;

create table dripdrop.message_events (
    id uuid not null default dripdrop.uuid7() primary key,
    tenant_key text not null,
    step_execution_id uuid,
    adapter_id uuid,
    channel text not null,
    provider text not null,
    provider_message_id text,
    provider_event_id text,
    event_type dripdrop.message_event_type not null,
    event_data jsonb not null default '{}',
    in_reply_to text,
    references_list text[],
    occurred_at timestamptz not null,
    inserted_at timestamptz not null
) partition by range (id);
create index message_events_execution on dripdrop.message_events (step_execution_id) where step_execution_id is not null;
create index message_events_adapter on dripdrop.message_events (adapter_id, occurred_at) where adapter_id is not null;
create table dripdrop.message_events_default partition of dripdrop.message_events default;

create table dripdrop.message_keys (
    key text not null,
    execution_id uuid not null,
    adapter_id uuid,
    primary key (key, execution_id)
);

create table dripdrop.seen_events (
    adapter_id uuid not null,
    event_key text not null,
    seen_at timestamptz not null,
    primary key (adapter_id, event_key)
);

-- Lease time is real time: these are the only rows that take the server's clock themselves.
create table dripdrop.workers (
    id uuid primary key default dripdrop.uuid7(),
    name text not null,
    lease interval not null,
    started_at timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    stopping boolean not null default false
);

create table dripdrop.scheduler_jobs (
    execution_id uuid not null,
    backend text not null,
    job_id text not null,
    primary key (execution_id, backend, job_id)
);

create table dripdrop.events (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    enrollment_id uuid,
    subscriber_type text not null,
    subscriber_id text not null,
    event_type text not null default 'custom',
    event_key text not null,
    event_data jsonb not null default '{}',
    occurred_at timestamptz not null,
    inserted_at timestamptz not null
);
create index events_subscriber on dripdrop.events (tenant_key, subscriber_type, subscriber_id, event_key, occurred_at);
create index events_enrollment on dripdrop.events (enrollment_id) where enrollment_id is not null;

create table dripdrop.suppressions (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    channel text not null,
    recipient text not null,
    recipient_normalized text not null,
    topic text not null default '',
    reason dripdrop.suppression_reason not null,
    source text,
    expires_at timestamptz,
    metadata jsonb not null default '{}',
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint suppressions_once unique (tenant_key, channel, recipient_normalized, topic)
);

create table dripdrop.stops (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    target_kind text not null check (target_kind in ('all', 'tenant', 'sequence', 'adapter')),
    target_id uuid,
    reason text,
    inserted_at timestamptz not null,
    constraint stops_target check ((target_kind in ('sequence', 'adapter')) = (target_id is not null)),
    constraint stops_once unique nulls not distinct (tenant_key, target_kind, target_id)
);

create table dripdrop.limit_counters (
    bucket text not null,
    window_start timestamptz not null,
    used integer not null default 0,
    next_free_at timestamptz,
    primary key (bucket, window_start)
);

create table dripdrop.preferences (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    subscriber_type text not null,
    subscriber_id text not null,
    channel text not null default '',
    topic text not null default '',
    enabled boolean,
    quiet_hours jsonb,
    cap jsonb,
    timezone text,
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint preferences_once unique (tenant_key, subscriber_type, subscriber_id, channel, topic)
);

create table dripdrop.message_contents (
    execution_id uuid not null,
    number integer not null,
    tenant_key text not null,
    sealed bytea not null,
    expires_at timestamptz not null,
    primary key (execution_id, number)
);

create table dripdrop.webhook_requests (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    adapter_id uuid,
    provider text not null,
    state text not null default 'stored' check (state in ('stored', 'processed', 'ignored', 'failed')),
    headers jsonb not null default '{}',
    body bytea not null,
    retries integer not null default 0,
    due_at timestamptz,
    reason text,
    received_at timestamptz not null,
    processed_at timestamptz
);
create index webhook_requests_due on dripdrop.webhook_requests (due_at) where state = 'stored';

create table dripdrop.short_links (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    step_execution_id uuid,
    provider text not null,
    original_url text not null,
    destination_url text not null,
    short_url text,
    external_id text,
    idempotency_key text not null unique,
    metadata jsonb not null default '{}',
    inserted_at timestamptz not null,
    updated_at timestamptz not null
);

create table dripdrop.adapter_pools (
    id uuid primary key default dripdrop.uuid7(),
    tenant_key text not null,
    name text not null,
    on_pin_unavailable text not null default 'reassign' check (on_pin_unavailable in ('pause', 'reassign')),
    allocator text not null default 'wdrr',
    metadata jsonb not null default '{}',
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint adapter_pools_name_taken unique (tenant_key, name)
);

create table dripdrop.adapter_pool_members (
    id uuid primary key default dripdrop.uuid7(),
    pool_id uuid not null references dripdrop.adapter_pools on delete cascade,
    adapter_id uuid not null references dripdrop.channel_adapters on delete cascade,
    tenant_key text not null,
    class text not null default 'mailbox' check (class in ('mailbox', 'esp_api')),
    weight integer not null default 1 check (weight > 0),
    active boolean not null default true,
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint adapter_pool_members_once unique (pool_id, adapter_id)
);

create table dripdrop.adapter_sequence_budgets (
    id uuid primary key default dripdrop.uuid7(),
    adapter_id uuid not null references dripdrop.channel_adapters on delete cascade,
    sequence_version_id uuid not null references dripdrop.sequence_versions on delete cascade,
    tenant_key text not null,
    weight integer not null default 1 check (weight > 0),
    max_share_pct integer not null default 100 check (max_share_pct between 1 and 100),
    daily_volume_target integer check (daily_volume_target > 0),
    inserted_at timestamptz not null,
    updated_at timestamptz not null,
    constraint adapter_sequence_budgets_once unique (adapter_id, sequence_version_id)
);

-- A reference to an adapter is by id alone, since it may be global; its tenant is checked here.
create function dripdrop.check_adapter_tenant() returns trigger language plpgsql as $$
declare
    part jsonb := to_jsonb(new);
    foreign_id uuid;
begin
    select a.id into foreign_id from dripdrop.channel_adapters a
     where a.id in ((part ->> 'channel_adapter_id')::uuid, (part ->> 'adapter_override_id')::uuid, (part ->> 'adapter_id')::uuid)
       and a.tenant_key not in ('', new.tenant_key)
     limit 1;
    if foreign_id is not null then
        raise exception 'adapter % belongs to another tenant', foreign_id
            using errcode = 'foreign_key_violation', constraint = 'adapter_tenant';
    end if;
    return new;
end
$$;
-- Parts have the tenant of what they are part of; a hook, a pool or a budget's version may be global. A way leads between
-- steps of one version.
create function dripdrop.check_parents_tenant() returns trigger language plpgsql as $$
declare
    part jsonb := to_jsonb(new);
    owned text[] := case when tg_nargs > 0 then array[new.tenant_key] else array['', new.tenant_key] end;
    version_id uuid := (part ->> 'sequence_version_id')::uuid;
begin
    if exists (select 1 from dripdrop.sequences s
                where s.id = (part ->> 'sequence_id')::uuid and s.tenant_key <> all (owned))
       or exists (select 1 from dripdrop.sequence_versions v where v.id = version_id and v.tenant_key <> all (owned))
       or exists (select 1 from dripdrop.steps s
                   where s.id in ((part ->> 'step_id')::uuid, (part ->> 'from_step_id')::uuid, (part ->> 'to_step_id')::uuid)
                     and (s.tenant_key <> all (owned) or s.sequence_version_id <> version_id))
       or exists (select 1 from dripdrop.step_transitions t
                   where t.id = (part ->> 'transition_id')::uuid and t.tenant_key <> all (owned))
       or exists (select 1 from dripdrop.http_hooks h
                   where h.id = (part ->> 'http_hook_id')::uuid and h.tenant_key not in ('', new.tenant_key))
       or exists (select 1 from dripdrop.adapter_pools p
                   where p.id = (part ->> 'pool_id')::uuid and p.tenant_key <> all (owned)) then
        raise exception 'a row of % names what belongs to another tenant or version', tg_table_name
            using errcode = 'foreign_key_violation', constraint = 'parents_tenant';
    end if;
    return new;
end
$$;
create trigger sequence_versions_tenant before insert or update on dripdrop.sequence_versions
    for each row execute function dripdrop.check_parents_tenant('owned');
create trigger steps_tenant before insert or update on dripdrop.steps
    for each row execute function dripdrop.check_parents_tenant('owned');
create trigger step_transitions_tenant before insert or update on dripdrop.step_transitions
    for each row execute function dripdrop.check_parents_tenant('owned');
create trigger conditions_tenant before insert or update on dripdrop.conditions
    for each row execute function dripdrop.check_parents_tenant('owned');
create trigger http_hooks_tenant before insert or update on dripdrop.http_hooks
    for each row execute function dripdrop.check_parents_tenant();
create trigger adapter_pool_members_pool before insert or update on dripdrop.adapter_pool_members
    for each row execute function dripdrop.check_parents_tenant();
create trigger adapter_sequence_budgets_version before insert or update on dripdrop.adapter_sequence_budgets
    for each row execute function dripdrop.check_parents_tenant();

create trigger steps_adapter_tenant before insert or update on dripdrop.steps
    for each row execute function dripdrop.check_adapter_tenant();
create trigger adapter_pool_members_tenant before insert or update on dripdrop.adapter_pool_members
    for each row execute function dripdrop.check_adapter_tenant();
create trigger adapter_sequence_budgets_tenant before insert or update on dripdrop.adapter_sequence_budgets
    for each row execute function dripdrop.check_adapter_tenant();

-- Months of partitions from the one that holds `moment` on; answers how many were made. DEFAULT is a net: what it holds
-- for a month moves into that month's partition. Nobody waits long here for a reader, since everybody else would wait
-- behind: what could not be made now is made next time.
create function dripdrop.make_partitions(moment timestamptz, months integer) returns integer language plpgsql
    set lock_timeout = '1s' as $$
declare
    parent text;
    key_column text;
    -- Without a zone: adding a month to a timestamptz depends on the zone of the session.
    month timestamp;
    child text;
    made integer := 0;
    low uuid;
    high uuid;
    stray boolean;
begin
    perform pg_advisory_xact_lock(hashtext('dripdrop.make_partitions'));
    for parent, key_column in
        values ('execution_history', 'id'), ('delivery_attempts', 'execution_id'), ('journal', 'id'), ('message_events', 'id')
    loop
        for i in 0 .. months loop
            month := date_trunc('month', moment at time zone 'UTC') + make_interval(months => i);
            child := parent || to_char(month, '_"y"YYYY"m"MM');
            continue when exists (
                select 1 from pg_class c
                 where c.relname = child and c.relnamespace = (
                    select p.pronamespace from pg_proc p where p.oid = 'dripdrop.uuid7'::regproc));
            low := dripdrop.uuid7_floor(month at time zone 'UTC');
            high := dripdrop.uuid7_floor((month + interval '1 month') at time zone 'UTC');
            execute format('select exists (select 1 from dripdrop.%I where %I >= $1 and %I < $2)',
                parent || '_default', key_column, key_column) into stray using low, high;
            -- Attaching leaves the parent readable and writable; making it as a partition would not.
            execute format('create table dripdrop.%I (like dripdrop.%I including all)', child, parent);
            if parent = 'delivery_attempts' then
                -- Each attempt is filled in once: room on its page keeps that out of the index.
                execute format('alter table dripdrop.%I set (fillfactor = 60)', child);
            end if;
            if stray then
                execute format('alter table dripdrop.%I detach partition dripdrop.%I', parent, parent || '_default');
                execute format('with moved as (delete from dripdrop.%I where %I >= %L and %I < %L returning *)
                    insert into dripdrop.%I select * from moved',
                    parent || '_default', key_column, low, key_column, high, child);
            end if;
            execute format('alter table dripdrop.%I attach partition dripdrop.%I for values from (%L) to (%L)',
                parent, child, low, high);
            if stray then
                execute format('alter table dripdrop.%I attach partition dripdrop.%I default', parent, parent || '_default');
            end if;
            made := made + 1;
        end loop;
    end loop;
    return made;
exception when lock_not_available then
    raise warning 'no partitions were made: a table is in use';
    return 0;
end
$$;
select dripdrop.make_partitions(clock_timestamp(), 6);

-- What people query, under the reference's column names; what writes or locks uses the tables.
create view dripdrop.step_executions as
select x.id, x.enrollment_id, x.step_id, nullif(x.tenant_key, '') as tenant_key, x.state, x.visit, x.kind, x.of_id,
       x.due_at as scheduled_for,
       last.started_at as claimed_at,
       case when x.state = 'sent' then coalesce(last.finished_at, x.ended_at) end as executed_at,
       case when x.state = 'failed' then coalesce(last.finished_at, x.ended_at) end as failed_at,
       x.retries as retry_count, x.refusals as attempt_window, x.attempt as attempts,
       x.id::text || ':' || x.refusals as idempotency_key,
       job.job_id as scheduler_job_id, job.backend as scheduler_backend,
       s.channel, last.recipient, last.provider_response as response, last.provider_message_id,
       coalesce(x.adapter_id, last.adapter_id) as adapter_id, x.worker_id, x.ended_at, x.reason, x.reason as error_message,
       case when told.status is not null then told.status when x.state = 'sent' then 'accepted' end as delivery_status
  from (
    select id, enrollment_id, step_id, tenant_key, state, visit, kind, of_id, due_at, retries, refusals, attempt, adapter_id,
           worker_id, null::timestamptz as ended_at, null::text as reason
      from dripdrop.execution_queue where kind <> 'advance'
    union all
    select id, enrollment_id, step_id, tenant_key, state, visit, kind, of_id, due_at, retries, refusals, attempt, adapter_id,
           null::uuid, ended_at, reason
      from dripdrop.execution_history where kind <> 'advance'
  ) x
  left join dripdrop.steps s on s.id = x.step_id
  left join lateral (
    select a.* from dripdrop.delivery_attempts a where a.execution_id = x.id order by a.number desc limit 1) last on true
  left join lateral (
    select j.job_id, j.backend from dripdrop.scheduler_jobs j where j.execution_id = x.id limit 1) job on true
  left join lateral (
    select m.event_type::text as status from dripdrop.message_events m
     where m.step_execution_id = x.id and m.event_type in ('accepted', 'deferred', 'delivered', 'bounced', 'complained', 'rejected')
     order by array_position(array['accepted', 'deferred', 'delivered', 'rejected', 'bounced', 'complained'], m.event_type::text) desc
     limit 1) told on true;
