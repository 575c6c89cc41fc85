-- name: register
insert into dripdrop.workers (name, lease) values (%(name)s::text, %(lease)s::interval) returning id;

-- name: heartbeat
-- One statement whatever is in flight: a lease belongs to the worker.
update dripdrop.workers w set heartbeat_at = clock_timestamp(), stopping = %(stopping)s::boolean
 where w.id = %(id)s::uuid returning w.id;

-- name: farewell
delete from dripdrop.workers w
 where w.id = %(id)s::uuid and not exists (select 1 from dripdrop.execution_queue q where q.worker_id = w.id);

-- name: forget_dead
delete from dripdrop.workers w
 where w.heartbeat_at + greatest(w.lease * 10, interval '1 minute') < clock_timestamp()
   and not exists (select 1 from dripdrop.execution_queue q where q.worker_id = w.id);

-- name: make_partitions
select dripdrop.make_partitions(clock_timestamp(), %(months)s::integer) as made;
