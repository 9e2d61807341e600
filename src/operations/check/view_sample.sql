-- Reads the contacts of ten bookings as delivery does: one row for each booking and audience. It runs with the settings of
-- the user's database, as delivery's own statement; so every operator, function and type is named with its schema.
SELECT pg_catalog.count(*) AS rows,
       -- So that every column is computed.
       COALESCE(pg_catalog.sum(pg_catalog.length(pg_catalog.concat(pg_catalog.btrim(c.email),
           c.name::pg_catalog.text, c.timezone::pg_catalog.text, c.language::pg_catalog.text, c.service::pg_catalog.text,
           c.with_name::pg_catalog.text, c.place::pg_catalog.text, c.meeting_link::pg_catalog.text, c.is_online::pg_catalog.bool,
           c.place_timezone::pg_catalog.text, c.reply_to::pg_catalog.text,
           c.person_id::pg_catalog.text, c.recipient::pg_catalog.text,
           c.phone::pg_catalog.text, c.sms_allowed::pg_catalog.bool))), 0) AS letters
  FROM (SELECT b.id FROM public.bookings AS b LIMIT 10) AS b
 CROSS JOIN (VALUES ('customer'), ('provider')) AS a (audience)
 -- Columns that the view may lack, as in delivery's statement.
 CROSS JOIN (SELECT NULL::pg_catalog.text AS language, NULL::pg_catalog.text AS reply_to, NULL::pg_catalog.text AS person_id,
                    NULL::pg_catalog.text AS recipient, NULL::pg_catalog.text AS phone,
                    NULL::pg_catalog.bool AS sms_allowed) AS absent
  LEFT JOIN LATERAL (
        SELECT v.email, v.name, v.timezone, language, v.service, v.with_name, v.place, v.meeting_link, v.is_online,
               v.place_timezone, reply_to, person_id, recipient, phone, sms_allowed
          FROM public.booking_automation_contacts AS v
         WHERE v.booking_id OPERATOR(pg_catalog.=) b.id AND v.audience OPERATOR(pg_catalog.=) a.audience LIMIT 1
       ) AS c ON true
