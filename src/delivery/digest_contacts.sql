-- Persons, addresses and places of the bookings that digest_bookings.sql handed over, in their order. It runs with the
-- settings of the user's database: see contacts.sql.
--   $1 bytes of all texts: where they are used up, the page ends  $2 bookings that a digest lists, at most
SELECT page.*
  FROM (
        -- The bytes of the texts up to each booking.
        SELECT listed.*,
               pg_catalog.sum(pg_catalog.octet_length(pg_catalog.concat(
                   listed.email, listed.name, listed.timezone, listed.language, listed.service, listed.with_name, listed.place,
                   listed.meeting_link, listed.place_timezone, listed.reply_to, listed.phone)))
                   OVER (ORDER BY listed.position ROWS UNBOUNDED PRECEDING) AS bytes
          FROM (
                -- Of each digest, the bookings that are its person's according to the view, and how many there are.
                SELECT contact.*,
                       pg_catalog.row_number() OVER (PARTITION BY contact.id ORDER BY contact.position) AS turn,
                       pg_catalog.count(*) OVER (PARTITION BY contact.id) AS bookings,
                       pg_catalog.max(contact.starts_at) OVER (PARTITION BY contact.id) AS last_start
                  FROM (
                        -- Cast and cut as in contacts.sql.
                        SELECT e.position, e.id, e.booking_id, e.audience, b.starts_at, b.duration_minutes,
                               pg_catalog.left(c.email::pg_catalog.text, 400) AS email,
                               pg_catalog.left(c.name::pg_catalog.text, 400) AS name,
                               -- What the person has chosen comes first.
                               COALESCE(own.timezone, pg_catalog.left(c.timezone::pg_catalog.text, 400)) AS timezone,
                               COALESCE(own.language, pg_catalog.left(c.language::pg_catalog.text, 100)) AS language,
                               pg_catalog.left(c.service::pg_catalog.text, 400) AS service,
                               pg_catalog.left(c.with_name::pg_catalog.text, 400) AS with_name,
                               pg_catalog.left(c.place::pg_catalog.text, 400) AS place,
                               pg_catalog.left(c.meeting_link::pg_catalog.text, 2400) AS meeting_link,
                               COALESCE(c.is_online::pg_catalog.bool, false) AS is_online,
                               pg_catalog.left(c.place_timezone::pg_catalog.text, 400) AS place_timezone,
                               pg_catalog.left(c.reply_to::pg_catalog.text, 400) AS reply_to,
                               pg_catalog.left(c.person_id, 401) AS person_id,
                               pg_catalog.left(c.phone::pg_catalog.text, 100) AS phone, c.sms_allowed::pg_catalog.bool AS sms_allowed
                          FROM ROWS FROM (pg_catalog.unnest(pg_catalog.current_setting('booking_automation.events')::pg_catalog.uuid[]),
                                          pg_catalog.unnest(pg_catalog.current_setting('booking_automation.bookings')::pg_catalog.uuid[]),
                                          pg_catalog.unnest(pg_catalog.current_setting('booking_automation.audiences')::pg_catalog.text[]),
                                          pg_catalog.unnest(pg_catalog.current_setting('booking_automation.people')::pg_catalog.uuid[]))
                               WITH ORDINALITY AS e (id, booking_id, audience, of_person, position)
                         CROSS JOIN (SELECT NULL::pg_catalog.uuid AS customer_id, NULL::pg_catalog.uuid AS provider_id) AS lacking
                         CROSS JOIN LATERAL (
                               SELECT b.scheduled_at AS starts_at,
                                      b.duration_minutes::pg_catalog.int8 AS duration_minutes,
                                      CASE WHEN e.audience OPERATOR(pg_catalog.=) 'customer' THEN customer_id ELSE provider_id END AS referred_id
                                 FROM public.bookings AS b
                                WHERE b.id OPERATOR(pg_catalog.=) e.booking_id
                               ) AS b
                         -- Columns that the view may lack. Where it has them, the names below mean its own.
                         CROSS JOIN (SELECT NULL::pg_catalog.text AS language, NULL::pg_catalog.text AS reply_to,
                                            NULL::pg_catalog.text AS person_id, NULL::pg_catalog.text AS recipient,
                                            NULL::pg_catalog.text AS phone, NULL::pg_catalog.bool AS sms_allowed) AS absent
                         CROSS JOIN LATERAL (
                               SELECT c.email, c.name, c.timezone, language, c.service, c.with_name, c.place, c.meeting_link,
                                      c.is_online, c.place_timezone, reply_to, pg_catalog.btrim(person_id::pg_catalog.text) COLLATE pg_catalog."C" AS person_id,
                                      phone, sms_allowed
                                 FROM public.booking_automation_contacts AS c
                                WHERE c.booking_id OPERATOR(pg_catalog.=) e.booking_id AND c.audience OPERATOR(pg_catalog.=) e.audience
                                  -- Not the guests.
                                  AND COALESCE(pg_catalog.btrim(recipient::pg_catalog.text), '') OPERATOR(pg_catalog.=) ''
                                LIMIT 1
                               ) AS c
                         {person}
                         WHERE who.person_id OPERATOR(pg_catalog.=) e.of_person
                       ) AS contact
               ) AS listed
         WHERE listed.turn OPERATOR(pg_catalog.<=) $2
       ) AS page
 -- The first digest is whole, whatever its texts are; of each other one, at least one row says that it is there.
 WHERE page.bytes OPERATOR(pg_catalog.<=) $1 OR page.turn OPERATOR(pg_catalog.=) 1
    OR page.id OPERATOR(pg_catalog.=) (pg_catalog.current_setting('booking_automation.events')::pg_catalog.uuid[])[1]
 ORDER BY page.position
