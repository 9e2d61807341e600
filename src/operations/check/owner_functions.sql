-- The functions of bookings that the owner may replace: of each of the names $1, what the catalogue says.
SELECT p.proname::text AS name, p.prorettype::regtype::text AS returns, p.prosqlbody IS NOT NULL AS is_bound,
       pg_get_userbyid(p.proowner)::text AS owner,
       -- The role of the passes runs what the function's owner wrote.
       p.proowner = (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
           OR pg_has_role(p.proowner, c.relowner, 'USAGE') AS is_of_the_owner,
       ARRAY(SELECT format('%s.%s', read.relname, a.attname)
               FROM pg_depend d
               JOIN pg_class read ON read.oid = d.refobjid AND read.relnamespace = 'public'::regnamespace
               JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
              ORDER BY 1) AS columns
  FROM pg_class c
  JOIN pg_proc p ON p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($1)
                AND p.pronargs = 1 AND p.proargtypes[0] = c.reltype
 WHERE c.oid = 'public.bookings'::regclass
