-- What decides which statuses `bookings.status` can hold. In the texts, {status} stands for a status.
SELECT format_type(a.atttypid, a.atttypmod) AS type, t.typtype = 'd' AS is_domain,
       -- CHECKs that name the status: each as an expression over a row of its columns. Of the other columns, a step
       -- sets completed_at; the rest is NULL.
       ARRAY(SELECT c.conname::text FROM pg_constraint c WHERE c.oid = ANY (k.checks) ORDER BY c.oid) AS check_names,
       ARRAY(SELECT cardinality(c.conkey) = 1 FROM pg_constraint c WHERE c.oid = ANY (k.checks) ORDER BY c.oid) AS is_alone,
       ARRAY(SELECT format('SELECT (%s) IS NOT FALSE AS holds FROM (SELECT %s) AS bookings', pg_get_expr(c.conbin, c.conrelid), (
                    SELECT string_agg(format(CASE o.attname WHEN 'status' THEN '%L::%s AS %I'
                                                            WHEN 'completed_at' THEN 'now()::%2$s AS %3$I'
                                                            ELSE 'NULL::%2$s AS %3$I' END,
                                             '{status}', format_type(o.atttypid, o.atttypmod), o.attname), ', ' ORDER BY o.attnum)
                      FROM pg_attribute o WHERE o.attrelid = c.conrelid AND o.attnum = ANY (c.conkey)))
               FROM pg_constraint c WHERE c.oid = ANY (k.checks) ORDER BY c.oid) AS check_queries,
       -- Foreign keys to a table of statuses.
       ARRAY(SELECT format('SELECT EXISTS (SELECT FROM %I.%I WHERE %I::text = %L) AS holds', n.nspname, r.relname, x.attname, '{status}')
               FROM pg_constraint c
               JOIN pg_class r ON r.oid = c.confrelid
               JOIN pg_namespace n ON n.oid = r.relnamespace
               JOIN pg_attribute x ON x.attrelid = r.oid AND x.attnum = c.confkey[1]
              WHERE c.conrelid = a.attrelid AND c.contype = 'f' AND c.conkey = ARRAY[a.attnum]
              ORDER BY c.oid) AS key_queries
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
 CROSS JOIN LATERAL (
        SELECT array_agg(c.oid) AS checks
          FROM pg_constraint c
         WHERE c.conrelid = a.attrelid AND c.contype = 'c' AND a.attnum = ANY (c.conkey)
           AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true) -- PostgreSQL 18
       ) AS k
 WHERE a.attrelid = 'public.bookings'::regclass AND a.attname = 'status'
