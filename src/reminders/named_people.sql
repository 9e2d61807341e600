-- The names that the view has for the people of bookings, where they differ from the booking's own names and one of the two
-- people has quiet hours. It runs with the settings of the user's database, since the contacts view may call functions of
-- theirs; so every operator, function and type is named with its schema.
SELECT b.id AS booking_id, b.audience, c.person_id
  FROM (
        SELECT b.id, r.audience,
               CASE WHEN r.audience OPERATOR(pg_catalog.=) 'customer' THEN b.customer_id ELSE b.provider_id END AS referred_id
          FROM public.reminder_rules AS r
         -- Columns that bookings may lack. Where it has them, the names mean its own.
         CROSS JOIN (SELECT NULL::pg_catalog.text AS customer_id, NULL::pg_catalog.text AS provider_id) AS lacking
         CROSS JOIN LATERAL (
               SELECT b.id, customer_id::pg_catalog.text AS customer_id, provider_id::pg_catalog.text AS provider_id
                 FROM public.bookings AS b
                WHERE b.status OPERATOR(pg_catalog.=) 'confirmed' AND {which}
               OFFSET 0) AS b
         WHERE r.active
         GROUP BY 1, 2, 3
       ) AS b
 -- Columns that the view may lack. Where it has them, the names below mean its own.
 CROSS JOIN (SELECT NULL::pg_catalog.text AS person_id, NULL::pg_catalog.text AS recipient) AS absent
 CROSS JOIN LATERAL (
       -- A UUID has one form.
       SELECT CASE WHEN name OPERATOR(pg_catalog.~*) '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$' THEN name::pg_catalog.uuid::pg_catalog.text
                   ELSE name END AS person_id
         FROM (
               SELECT pg_catalog.left(pg_catalog.btrim(person_id::pg_catalog.text), 401) COLLATE pg_catalog."C" AS name
                 FROM public.booking_automation_contacts AS c
                WHERE c.booking_id OPERATOR(pg_catalog.=) b.id AND c.audience OPERATOR(pg_catalog.=) b.audience
                  -- Not the guests.
                  AND COALESCE(pg_catalog.btrim(recipient::pg_catalog.text), '') OPERATOR(pg_catalog.=) ''
                LIMIT 1
              ) AS c
       ) AS c
 -- The statement reads the view only if it has the column, and only if at least one person has quiet hours.
 WHERE EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid OPERATOR(pg_catalog.=) 'public.booking_automation_contacts'::pg_catalog.regclass
                  AND a.attname OPERATOR(pg_catalog.=) 'person_id' AND NOT a.attisdropped)
   AND EXISTS (SELECT FROM public.booking_automation_preferences AS q WHERE q.quiet_from IS NOT NULL)
   AND c.person_id OPERATOR(pg_catalog.<>) '' AND c.person_id OPERATOR(pg_catalog.<>) COALESCE(b.referred_id, '')
   AND EXISTS (SELECT FROM public.booking_automation_preferences AS q
                WHERE q.quiet_from IS NOT NULL
                  AND (q.person_id OPERATOR(pg_catalog.=) c.person_id OR q.person_id OPERATOR(pg_catalog.=) b.referred_id))
