-- A relation under the contacts view that row-level security hides rows of, from the role that it is read as.
WITH RECURSIVE under AS (
    -- The view itself is read as the calling role; so is what a view with security_invoker names, wherever that view
    -- stands. What any other view names is read by that view's owner.
    SELECT c.oid, c.relkind, c.relowner, c.reloptions, r.oid AS reader
      FROM pg_class c, pg_roles r
     WHERE c.oid = to_regclass('public.booking_automation_contacts') AND r.rolname = current_user
    UNION
    SELECT c.oid, c.relkind, c.relowner, c.reloptions,
           CASE WHEN EXISTS (SELECT FROM pg_options_to_table(u.reloptions)
                              WHERE option_name = 'security_invoker' AND option_value::boolean)
                THEN (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
                ELSE u.relowner END
      FROM under u
      JOIN pg_rewrite w ON w.ev_class = u.oid AND w.ev_type = '1'
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                      AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> u.oid
      JOIN pg_class c ON c.oid = d.refobjid
     -- A materialized view holds its rows itself.
     WHERE u.relkind = 'v'
)
SELECT n.nspname || '.' || c.relname AS relation, r.rolname::text AS reader
  FROM under u
  JOIN pg_class c ON c.oid = u.oid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles r ON r.oid = u.reader
 WHERE c.relrowsecurity AND NOT (r.rolsuper OR r.rolbypassrls)
   -- The owner, and members of the owner's role, see all rows, unless it is forced on them.
   AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
 ORDER BY relation
 LIMIT 1
