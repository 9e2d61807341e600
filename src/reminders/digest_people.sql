-- The people of the bookings that were handed over, each with the starts of theirs: whose digests may be due. $1 are the
-- audiences. It runs with the settings of the user's database, since the contacts view may call functions of theirs; so
-- every operator, function and type is named with its schema.
SELECT c.audience, c.person_id, c.timezone, c.place_timezone, pg_catalog.array_agg(c.scheduled_at) AS starts,
       -- The ids by which bookings refer to them: one, unless the view says that several are one person.
       pg_catalog.array_agg(c.referred_id) AS referred_ids
  FROM (
        SELECT b.audience, b.scheduled_at, b.referred_id, who.person_id,
               -- What the person has chosen comes first.
               COALESCE(own.timezone, c.timezone) AS timezone, c.place_timezone
          FROM (
                SELECT b.id, b.scheduled_at, a.audience,
                       CASE WHEN a.audience OPERATOR(pg_catalog.=) 'customer' THEN b.customer_id ELSE b.provider_id END AS referred_id
                  FROM pg_catalog.unnest(pg_catalog.current_setting('booking_automation.bookings')::pg_catalog.uuid[]) AS e (id)
                 -- Columns that bookings may lack. Where it has them, the names mean its own.
                 CROSS JOIN (SELECT NULL::pg_catalog.uuid AS customer_id, NULL::pg_catalog.uuid AS provider_id) AS lacking
                 CROSS JOIN LATERAL (
                       -- Each is looked up by its key.
                       SELECT b.id, b.scheduled_at, customer_id, provider_id FROM public.bookings AS b
                        WHERE b.id OPERATOR(pg_catalog.=) e.id LIMIT 1
                       ) AS b
                 CROSS JOIN pg_catalog.unnest($1::pg_catalog.text[]) AS a (audience)
               ) AS b
         -- Columns that the view may lack. Where it has them, the names below mean its own.
         CROSS JOIN (SELECT NULL::pg_catalog.text AS person_id, NULL::pg_catalog.text AS recipient) AS absent
         CROSS JOIN LATERAL (
               SELECT pg_catalog.btrim(person_id::pg_catalog.text) COLLATE pg_catalog."C" AS person_id,
                      pg_catalog.left(c.timezone::pg_catalog.text, 400) AS timezone,
                      pg_catalog.left(c.place_timezone::pg_catalog.text, 400) AS place_timezone
                 FROM public.booking_automation_contacts AS c
                WHERE c.booking_id OPERATOR(pg_catalog.=) b.id AND c.audience OPERATOR(pg_catalog.=) b.audience
                  -- Not the guests.
                  AND COALESCE(pg_catalog.btrim(recipient::pg_catalog.text), '') OPERATOR(pg_catalog.=) ''
                LIMIT 1
               ) AS c
         {person}
       ) AS c
 WHERE c.referred_id IS NOT NULL
 GROUP BY c.audience, c.person_id, c.timezone, c.place_timezone
