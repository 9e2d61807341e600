-- Of a hundred bookings, those with several rows for an audience and recipient: one of them alone gets messages. It runs with the settings
-- of the user's database, as delivery's own statement; so every operator, function and type is named with its schema.
SELECT pg_catalog.count(*) AS bookings
  FROM (SELECT b.id FROM public.bookings AS b LIMIT 100) AS b
 CROSS JOIN (VALUES ('customer'), ('provider')) AS a (audience)
 -- A column that the view may lack, as in delivery's statement.
 CROSS JOIN (SELECT NULL::pg_catalog.text AS recipient) AS absent
 CROSS JOIN LATERAL (
        SELECT FROM public.booking_automation_contacts AS v
         WHERE v.booking_id OPERATOR(pg_catalog.=) b.id AND v.audience OPERATOR(pg_catalog.=) a.audience
         GROUP BY COALESCE(pg_catalog.btrim(recipient::pg_catalog.text), '') HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 LIMIT 1
       ) AS second
