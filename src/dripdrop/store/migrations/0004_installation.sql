-- deployment: pre
-- Where these tables were last at work. A copy of them, restored from a backup or made for a staging system, must not
-- send what the original has sent meanwhile.
create table dripdrop.installation (
    id boolean primary key default true check (id),
    system_identifier bigint,
    database oid not null,
    timeline integer,
    noted_at timestamptz not null default clock_timestamp()
);

-- Where we are now. Where the server does not let us see its control file, the database's own number has to do.
create function dripdrop.whereabouts(out system_identifier bigint, out database oid, out timeline integer)
    language plpgsql stable as $$
begin
    select d.oid into database from pg_catalog.pg_database d where d.datname = current_database();
    begin
        select s.system_identifier into system_identifier from pg_catalog.pg_control_system() s;
        select c.timeline_id into timeline from pg_catalog.pg_control_checkpoint() c;
    exception when insufficient_privilege then
        null;
    end;
end
$$;
