-- Every relation that is not the server's, an extension's, or temporary, and which telling columns it has.
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       bool_or(a.attname IN ('scheduled_at', 'start_at', 'starts_at', 'start_time')) AS has_start,
       bool_or(a.attname = 'status') AS has_status,
       bool_or(a.attname IN ('email', 'email_address', 'mail')) AS has_email
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 GROUP BY n.nspname, c.relname, c.relkind
 ORDER BY n.nspname <> 'public', n.nspname, c.relname
