-- A relation under the contacts view, or read by booking_automation_is_live, that row-level security hides rows of, from the role that it is read as.
WITH RECURSIVE under AS (
    -- The view itself is read as the calling role; so is what a view with security_invoker names, wherever that view
    -- stands. What any other view names is read by that view's owner.
    SELECT c.oid, c.relkind, c.relowner, c.reloptions, r.oid AS reader
      FROM pg_class c, pg_roles r
     WHERE c.oid = to_regclass('public.booking_automation_contacts') AND r.rolname = current_user
    UNION
    -- What booking_automation_is_live names, as its owner if it is SECURITY DEFINER.
    SELECT c.oid, c.relkind, c.relowner, c.reloptions,
           CASE WHEN p.prosecdef THEN p.proowner ELSE (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user) END
      FROM pg_proc p
      JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
      JOIN pg_class c ON c.oid = d.refobjid
     WHERE p.pronamespace = 'public'::regnamespace AND p.proname = 'booking_automation_is_live'
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
