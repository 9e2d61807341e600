-- Since when no pass was committed, and the sessions that hold the advisory lock of the pass. Sent only when a pass
-- could not take it.
--   $1 the lock's key
-- Before the first committed pass, the time counts from the last step of the schema.
WITH committed AS (
    SELECT coalesce((SELECT r.created_at FROM public.automation_runs r WHERE r.outcome = 'completed'
                      ORDER BY r.created_at DESC LIMIT 1),
                    (SELECT max(m.applied_at) FROM public.booking_automation_migrations m)) AS last_at
), holders AS (
    -- A key of 64 bits is stored in two halves, and marked by 1. A prepared transaction has no process.
    SELECT string_agg(coalesce(format('pid %s, role %s, application_name %s', l.pid,
                                      coalesce(quote_ident(a.usename), 'unknown'),
                                      coalesce(quote_literal(nullif(a.application_name, '')), 'none')),
                               'a prepared transaction, see pg_prepared_xacts'), '; ') AS named
      FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks
             WHERE locktype = 'advisory' AND granted AND objsubid = 1
               AND classid::bigint << 32 | objid::bigint = $1
               AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
             ORDER BY pid LIMIT 5) AS l
      LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
)
SELECT extract(epoch FROM clock_timestamp() - last_at)::float8 AS seconds_since, named
  FROM committed, holders
