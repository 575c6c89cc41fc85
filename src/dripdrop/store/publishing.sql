-- Touches no table: what is published is kept nowhere.

-- name: notify
select pg_notify(%(topic)s::text, %(body)s::text);
