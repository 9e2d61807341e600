-- What this role may not do, of what it needs.
--   $1 the relations  $2 of each, the privileges that it needs
SELECT n.relation, array_agg(p.privilege ORDER BY p.nth) AS privileges
  FROM unnest($1::text[], $2::text[]) AS n (relation, privileges)
 CROSS JOIN unnest(string_to_array(n.privileges, ', ')) WITH ORDINALITY AS p (privilege, nth)
 WHERE NOT has_table_privilege(to_regclass('public.' || n.relation), p.privilege) -- NULL: it is not there
 GROUP BY n.relation
 ORDER BY n.relation
