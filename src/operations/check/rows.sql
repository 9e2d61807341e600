-- What copies whole rows of `bookings`, or uses its row type: a new column changes what it gets.
WITH booking AS (
    SELECT c.oid, c.reltype, t.typarray FROM pg_class c JOIN pg_type t ON t.oid = c.reltype WHERE c.oid = 'public.bookings'::regclass
), theirs AS (
    SELECT p.oid, p.prosrc, n.nspname, p.proname, p.prorettype, p.proargtypes, p.proallargtypes
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE p.proname !~ '^booking_automation_'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
)
SELECT DISTINCT format('the trigger function %s.%s copies whole rows', f.nspname, f.proname) AS what
  FROM booking b
  JOIN pg_trigger t ON t.tgrelid = b.oid AND NOT t.tgisinternal
  JOIN theirs f ON f.oid = t.tgfoid
 WHERE f.prosrc ~* '\.\*|(row_to_json|to_jsonb?|hstore|jsonb?_build_array|row)\s*\(\s*(new|old)\s*[,)]|\*\s+from\s+(only\s+)?(public\.)?"?bookings\M|\m(values|select|:=)\s*\(?\s*(new|old)\s*[,);]'
UNION
SELECT format('the function %s.%s takes or returns the row type of bookings', f.nspname, f.proname)
  FROM booking b, theirs f
 WHERE f.prorettype IN (b.reltype, b.typarray)
    OR EXISTS (SELECT FROM unnest(coalesce(f.proallargtypes, f.proargtypes::oid[])) AS type WHERE type IN (b.reltype, b.typarray))
UNION
SELECT format('%s.%s has the column %s of the row type of bookings', n.nspname, c.relname, a.attname)
  FROM booking b
  JOIN pg_attribute a ON a.atttypid IN (b.reltype, b.typarray) AND NOT a.attisdropped
  JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  JOIN pg_namespace n ON n.oid = c.relnamespace
UNION
SELECT format('the rule %s on bookings', w.rulename) FROM booking b JOIN pg_rewrite w ON w.ev_class = b.oid
UNION
SELECT format('the publication %s sends bookings to subscribers, whose table needs the new columns first', p.pubname)
  FROM pg_publication_tables p
 WHERE p.schemaname = 'public' AND p.tablename = 'bookings'
 ORDER BY what
