-- Of a hundred bookings, those with several rows for an audience: one of them alone gets messages. It runs with the settings
-- of the user's database, as delivery's own statement; so every operator, function and type is named with its schema.
SELECT pg_catalog.count(*) AS bookings
  FROM (SELECT b.id FROM public.bookings AS b LIMIT 100) AS b
 CROSS JOIN (VALUES ('customer'), ('provider')) AS a (audience)
 CROSS JOIN LATERAL (
        SELECT FROM public.booking_automation_contacts AS v
         WHERE v.booking_id OPERATOR(pg_catalog.=) b.id AND v.audience OPERATOR(pg_catalog.=) a.audience OFFSET 1 LIMIT 1
       ) AS second
