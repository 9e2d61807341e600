-- What kind of table `bookings` is, and what this role may do with it.
SELECT c.relkind::text AS kind, c.relispartition AS is_partition, c.reloftype <> 0 AS is_typed,
       EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) AS inherits,
       quote_ident(pg_get_userbyid(c.relowner)) AS owner,
       pg_has_role(c.relowner, 'USAGE') AS is_owner,
       has_schema_privilege(c.relnamespace, 'CREATE') AS may_create,
       row_security_active(c.oid) AS rows_are_hidden,
       ARRAY(SELECT t.tgname::text FROM pg_trigger t
              WHERE t.tgrelid = c.oid AND t.tgname ~ '^(zzz_)?booking_automation_' AND t.tgenabled NOT IN ('O', 'A')
              ORDER BY 1) AS switched_off
  FROM pg_class c
 WHERE c.oid = 'public.bookings'::regclass
