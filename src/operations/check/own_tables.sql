-- The columns of tables that have the names of ours, and what would make our statements fail on them.
SELECT c.relname::text AS relation, c.relkind::text AS kind, a.attname::text AS name,
       CASE t.typnamespace WHEN 'pg_catalog'::regnamespace THEN t.typname::text ELSE format_type(t.oid, NULL) END AS type,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needs_value,
       pg_get_userbyid(c.relowner)::text AS owner, {is_trusted} AS is_trusted
  FROM pg_class c
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_type t ON t.oid = a.atttypid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1::text[])
