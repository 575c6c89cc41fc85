-- deployment: pre
-- Who answers a text message quotes nothing: what is answered is what was sent there last. What goes to e-mail addresses
-- and to web addresses is answered otherwise, and stands in no index.
create index delivery_attempts_recipient on dripdrop.delivery_attempts (recipient, started_at)
    where strpos(recipient, '@') = 0 and strpos(recipient, '/') = 0;

-- Moves are checked after the row is written: a trigger before an update locks the row once more, with a record in the
-- WAL of its own. What may move where stays as it was.
drop trigger execution_queue_move on dripdrop.execution_queue;
create trigger execution_queue_move after update of state on dripdrop.execution_queue
    for each row when (old.state is distinct from new.state and not (
        (old.state = 'scheduled' and new.state in ('claiming', 'waiting'))
        or (old.state = 'waiting' and new.state = 'scheduled')
        or (old.state = 'claiming' and new.state in ('scheduled', 'waiting', 'sending', 'failed'))
        or (old.state = 'sending' and new.state in ('scheduled', 'unknown', 'failed'))
        or (old.state = 'unknown' and new.state in ('scheduled', 'failed'))
        or (old.state = 'failed' and new.state = 'scheduled')))
    execute function dripdrop.refuse_move();
drop trigger enrollments_move on dripdrop.enrollments;
create trigger enrollments_move after update of state on dripdrop.enrollments
    for each row when (old.state is distinct from new.state and not (
        (old.state = 'active' and new.state in ('paused', 'completed', 'cancelled'))
        or (old.state = 'paused' and new.state in ('active', 'completed', 'cancelled'))))
    execute function dripdrop.refuse_move();

-- Every attempt is filled in once, and grows then: with this room all of that stays out of the index, not two thirds.
do $$
declare
    part regclass;
begin
    for part in select i.inhrelid from pg_inherits i where i.inhparent = 'dripdrop.delivery_attempts'::regclass loop
        execute format('alter table %s set (fillfactor = 45)', part);
    end loop;
end
$$;
create or replace function dripdrop.make_partitions(moment timestamptz, months integer) returns integer language plpgsql
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
                -- Each attempt is filled in once, and grows: room on its page for all of them keeps that out of the index.
                execute format('alter table dripdrop.%I set (fillfactor = 45)', child);
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
