-- What `migrate` created and is still there: its kind, its name, the table it is on, and the statement that drops it.
-- $1: names of our tables, $2: of our functions, $3: of our indexes on bookings.
WITH functions AS (
    SELECT p.oid, p.proname, format('public.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) AS name
      FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($2)
        OR p.oid IN (to_regprocedure('public.booking_end(timestamptz, bigint)'), to_regprocedure('public.reminder_rules_effective_from()'))
), relations AS (
    SELECT c.oid, c.relname, c.relkind, format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
)
SELECT 'trigger' AS kind,
       t.tgname::text AS name,
       r.relname::text AS on_table,
       f.proname::text AS function,
       format('DROP TRIGGER IF EXISTS %I ON %s', t.tgname, r.name) AS statement
  FROM pg_trigger t
  JOIN functions f ON f.oid = t.tgfoid
  JOIN relations r ON r.oid = t.tgrelid
UNION ALL
SELECT 'index', r.relname, t.relname, NULL, r.name
  FROM pg_index i
  JOIN relations r ON r.oid = i.indexrelid
  JOIN relations t ON t.oid = i.indrelid
 WHERE i.indrelid = to_regclass('public.bookings') AND r.relname = ANY ($3)
UNION ALL
SELECT 'view', r.relname, NULL, NULL, format('DROP VIEW IF EXISTS %s', r.name)
  FROM relations r
 WHERE r.oid = to_regclass('public.booking_automation_contacts') AND r.relkind = 'v'
UNION ALL
SELECT 'table', r.relname, NULL, NULL, format('DROP TABLE IF EXISTS %s', r.name)
  FROM pg_class c
  JOIN relations r ON r.oid = c.oid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname = ANY ($1)
UNION ALL
SELECT 'function', f.name, NULL, f.proname, format('DROP FUNCTION IF EXISTS %s', f.name)
  FROM functions f
 ORDER BY 1, 2
