-- The columns of `bookings`, each with its type and the type of PostgreSQL's that it is, or is a domain over.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attgenerated <> '' AS is_generated,
       {base_type} AS base
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = 'public.bookings'::regclass AND a.attnum > 0 AND NOT a.attisdropped
