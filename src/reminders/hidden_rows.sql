-- A relation that booking_automation_is_live reads, or that is under the contacts view, and of which row-level security
-- hides rows from the role that it is read as.
--   $1 whether contacts are read, too
WITH RECURSIVE under AS (
    -- The view itself is read as the calling role; so is what a view with security_invoker names, wherever that view
    -- stands. What any other view names is read by that view's owner.
    SELECT c.oid, c.relkind, c.relowner, c.reloptions, r.oid AS reader, r.oid AS caller
      FROM pg_class c, pg_roles r
     WHERE $1 AND c.oid = to_regclass('public.booking_automation_contacts') AND r.rolname = current_user
    UNION
    -- What booking_automation_is_live names. A function that is SECURITY DEFINER calls as its owner.
    SELECT c.oid, c.relkind, c.relowner, c.reloptions, f.caller, f.caller
      FROM (SELECT p.oid, CASE WHEN p.prosecdef THEN p.proowner ELSE r.oid END AS caller
              FROM pg_proc p, pg_roles r
             WHERE p.pronamespace = 'public'::regnamespace AND p.proname = 'booking_automation_is_live'
               AND r.rolname = current_user) AS f
      JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
      JOIN pg_class c ON c.oid = d.refobjid AND c.oid <> to_regclass('public.bookings') -- its row is handed over
    UNION
    SELECT c.oid, c.relkind, c.relowner, c.reloptions,
           CASE WHEN EXISTS (SELECT FROM pg_options_to_table(u.reloptions)
                              WHERE option_name = 'security_invoker' AND option_value::boolean)
                THEN u.caller ELSE u.relowner END, u.caller
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
