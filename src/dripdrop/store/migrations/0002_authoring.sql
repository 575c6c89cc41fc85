-- deployment: pre
-- What definitions can ask for since: waiting for events, ways that hooks decide, goals.

-- A step that begins to wait and an event that is being recorded cannot see each other while both are uncommitted. A row
-- stands here until that cannot be any more: `seen` is the transaction that first saw the wait, and once every transaction
-- up to it has ended, one last look back settles it.
create table dripdrop.waits (
    execution_id uuid primary key,
    enrollment_id uuid not null,
    seen xid8
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- Events of transactions above READ COMMITTED, whose snapshot hides whoever began to wait meanwhile.
create table dripdrop.unheard (
    event_id uuid primary key
);

-- The event that an execution waited for, once it came.
alter table dripdrop.execution_queue add column event_id uuid;
alter table dripdrop.execution_history add column event_id uuid;

-- Where hooks decide the way in, there is no step yet.
alter table dripdrop.execution_queue
    alter column step_id drop not null,
    add constraint execution_queue_step check (step_id is not null or kind = 'advance');

-- A goal can be reached while an enrollment is paused.
drop trigger enrollments_move on dripdrop.enrollments;
create trigger enrollments_move before update of state on dripdrop.enrollments
    for each row when (old.state is distinct from new.state and not (
        (old.state = 'active' and new.state in ('paused', 'completed', 'cancelled'))
        or (old.state = 'paused' and new.state in ('active', 'completed', 'cancelled'))))
    execute function dripdrop.refuse_move();

-- The list of gates that a line's silence stands for.
alter table dripdrop.journal alter column gates set default 2;

-- A visitor of a short link has nothing but its code.
create unique index short_links_code on dripdrop.short_links (external_id) where provider = 'builtin';
