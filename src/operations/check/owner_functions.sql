-- The functions that the owner may replace, and others of their names $1: what the catalogue says of each.
SELECT p.proname::text AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
       coalesce(p.pronargs = 1 AND p.prokind = 'f' AND t.typrelid <> 0, false) AS is_of_a_row,
       coalesce(t.typrelid = c.oid, false) AS is_of_bookings, p.prorettype::regtype::text AS returns,
       p.prosqlbody IS NOT NULL AS is_bound,
       {is_default} AS is_default,
       pg_get_userbyid(p.proowner)::text AS owner,
       {is_trusted} AS is_of_the_owner,
       ARRAY(SELECT format('%s.%s', read.relname, a.attname)
               FROM pg_depend d
               JOIN pg_class read ON read.oid = d.refobjid AND read.relnamespace = 'public'::regnamespace
               JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
              ORDER BY 1) AS columns
  FROM pg_class c
  JOIN pg_proc p ON p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($1)
  LEFT JOIN pg_type t ON t.oid = p.proargtypes[0]
 WHERE c.oid = 'public.bookings'::regclass
