-- Of a hundred bookings, from pages all over the table ($1 percent of them): for how many audiences several rows have the
-- same recipient, of which one alone gets messages; and for how many there are guests, and no first recipient. It runs with
-- the settings of the user's database, as delivery's own statement; so every operator, function and type is named with its
-- schema.
SELECT pg_catalog.count(CASE WHEN found.rows OPERATOR(pg_catalog.>) 1 THEN 1 END) AS several,
       pg_catalog.count(CASE WHEN found.rows IS NOT NULL AND found.first OPERATOR(pg_catalog.=) 0 THEN 1 END) AS guests_alone,
       pg_catalog.count(found.rows) AS read
  FROM (SELECT b.id FROM public.bookings AS b TABLESAMPLE pg_catalog.system ($1) LIMIT 100) AS b
 CROSS JOIN (VALUES ('customer'), ('provider')) AS a (audience)
 -- A column that the view may lack, as in delivery's statement.
 CROSS JOIN (SELECT NULL::pg_catalog.text AS recipient) AS absent
 CROSS JOIN LATERAL (
        SELECT pg_catalog.max(r.rows) AS rows, pg_catalog.count(CASE WHEN r.recipient OPERATOR(pg_catalog.=) '' THEN 1 END) AS first
          FROM (SELECT v.recipient, pg_catalog.count(*) AS rows
                  FROM (SELECT COALESCE(pg_catalog.left(pg_catalog.btrim(recipient::pg_catalog.text), 200), '') AS recipient
                          FROM public.booking_automation_contacts AS v
                         WHERE v.booking_id OPERATOR(pg_catalog.=) b.id AND v.audience OPERATOR(pg_catalog.=) a.audience
                         LIMIT 10000) AS v
                 GROUP BY v.recipient) AS r
       ) AS found
