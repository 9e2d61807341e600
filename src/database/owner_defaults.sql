-- The columns by which the defaults of the owner's functions are derived: of each its table, its name and its type.
SELECT c.relname::text AS relation, a.attname::text AS name, {base_type} AS type, {is_whole} AS is_whole,
       -- A domain can say it, too.
       a.attnotnull OR t.typnotnull OR t.typdefault IS NOT NULL OR (a.atthasdef AND a.attgenerated = '') AS is_preset,
       row_security_active(c.oid) AS is_hidden
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
 WHERE c.oid = ANY (ARRAY[to_regclass('public.bookings'), to_regclass('public.users'), to_regclass('public.services')])
