-- Which audiences of the confirmed bookings of a time have no recipient with an address: those of passes from $1 to $2. It runs with the
-- settings of the user's database: see without_address.sql.
SELECT b.id, a.audience
  FROM public.bookings AS b
 CROSS JOIN (VALUES ('customer'), ('provider')) AS a (audience)
 WHERE b.status OPERATOR(pg_catalog.=) 'confirmed' AND b.scheduled_at OPERATOR(pg_catalog.>) $1
   AND b.scheduled_at OPERATOR(pg_catalog.<=) ($2 OPERATOR(pg_catalog.+) (
           SELECT pg_catalog.max(r.lead) FROM public.reminder_rules AS r WHERE r.active))
   AND NOT EXISTS (
           SELECT FROM public.booking_automation_contacts AS c
            WHERE c.booking_id OPERATOR(pg_catalog.=) b.id AND c.audience OPERATOR(pg_catalog.=) a.audience
              AND COALESCE(pg_catalog.btrim(c.email), '') OPERATOR(pg_catalog.<>) '' OFFSET 0)
