-- The columns of the contacts view, each with its type and the type of PostgreSQL's that it is, or is a domain over.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       {base_type} AS base
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = 'public.booking_automation_contacts'::regclass AND a.attnum > 0 AND NOT a.attisdropped
