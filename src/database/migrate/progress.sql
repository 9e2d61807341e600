-- What the sessions of this process do: how far an index build is, and whom they wait for. No query text, no addresses.
-- $1: how their application_name begins, $2: how their statements outside a transaction end.
SELECT substr(a.application_name, length($1) + 2)              AS step,
       extract(epoch FROM clock_timestamp() - a.query_start)::bigint AS seconds,
       i.relname::text                                          AS index_name,
       p.phase                                                  AS phase,
       CASE WHEN p.blocks_total > 0 THEN p.blocks_done  ELSE p.tuples_done  END AS done,
       CASE WHEN p.blocks_total > 0 THEN p.blocks_total ELSE p.tuples_total END AS total,
       CASE WHEN p.blocks_total > 0 THEN 'blocks' ELSE 'rows' END AS unit,
       -- From the catalog: a function that measures the table would wait for the very lock that is to be shown.
       (SELECT pg_size_pretty(relpages::bigint * current_setting('block_size')::bigint)
          FROM pg_class WHERE oid = to_regclass('public.bookings')) AS size,
       ARRAY(SELECT format('pid %s (role %s, application_name %s, %s)', b.pid, coalesce(b.usename, '?'),
                           coalesce(nullif(b.application_name, ''), '?'), coalesce(b.state, 'state unknown'))
               FROM pg_stat_activity b
              WHERE (b.pid = ANY (pg_blocking_pids(a.pid)) OR b.pid = p.current_locker_pid) AND b.pid <> pg_backend_pid()
              ORDER BY b.pid)                                   AS blockers
  FROM pg_stat_activity a
  LEFT JOIN pg_stat_progress_create_index p ON p.pid = a.pid
  LEFT JOIN pg_class i ON i.oid = p.index_relid
 WHERE a.datname = current_database()
   AND a.pid <> pg_backend_pid()
   AND a.state = 'active'
   AND (starts_with(a.application_name, $1) OR right(a.query, length($2)) = $2)
