-- What this role may not do, of what a pass does.
SELECT w.relation, array_agg(w.privilege ORDER BY w.privilege) AS privileges
  FROM (SELECT 'bookings' AS relation, unnest(ARRAY['SELECT', 'UPDATE']) AS privilege
        UNION ALL SELECT 'booking_automation_contacts', 'SELECT'
        UNION ALL SELECT c.relname::text, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'])
          FROM pg_class c
         WHERE c.relkind = 'r' AND c.oid = to_regclass('public.' || quote_ident(c.relname))
           AND c.relname = ANY ($1::text[])) AS w
 WHERE to_regclass('public.' || quote_ident(w.relation)) IS NOT NULL
   AND NOT has_table_privilege(to_regclass('public.' || quote_ident(w.relation)), w.privilege)
 GROUP BY w.relation
 ORDER BY w.relation
