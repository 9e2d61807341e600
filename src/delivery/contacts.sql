-- Persons, addresses and places of the messages that claim_candidates.sql locked. It runs with the settings of the
-- user's database, since the view may call functions of theirs; so every operator, function and type is named with its
-- schema.
--   $1 bytes of all texts: where they are used up, the page ends, and the other messages stay as they are
--   $2 guests of a message, at most
SELECT page.*
  FROM (
        -- The bytes of the texts up to each message.
        SELECT contact.*,
               pg_catalog.sum(pg_catalog.octet_length(pg_catalog.concat(
                   contact.email, contact.name, contact.timezone, contact.language, contact.service, contact.with_name, contact.place,
                   contact.meeting_link, contact.place_timezone, contact.reply_to,
                   contact.person_id, contact.phone))
                   -- Each guest becomes a row.
                   OPERATOR(pg_catalog.+) (1000 OPERATOR(pg_catalog.*) COALESCE(pg_catalog.cardinality(contact.guests), 0)))
                   OVER (ORDER BY contact.position ROWS UNBOUNDED PRECEDING) AS bytes
          FROM (
                -- Each value is cast: the user's view may have other types. Each text is cut: a message uses 200
                -- characters of it, an address has 320 at most, and a link that is longer than 2000 is left out.
                SELECT e.position, e.id, pg_catalog.left(c.email::pg_catalog.text, 400) AS email,
                       pg_catalog.left(c.name::pg_catalog.text, 400) AS name,
                       pg_catalog.left(c.timezone::pg_catalog.text, 400) AS timezone,
                       pg_catalog.left(c.language::pg_catalog.text, 100) AS language,
                       pg_catalog.left(c.service::pg_catalog.text, 400) AS service,
                       pg_catalog.left(c.with_name::pg_catalog.text, 400) AS with_name,
                       pg_catalog.left(c.place::pg_catalog.text, 400) AS place,
                       pg_catalog.left(c.meeting_link::pg_catalog.text, 2400) AS meeting_link,
                       COALESCE(c.is_online::pg_catalog.bool, false) AS is_online,
                       pg_catalog.left(c.place_timezone::pg_catalog.text, 400) AS place_timezone,
                       pg_catalog.left(c.reply_to::pg_catalog.text, 400) AS reply_to,
                       -- One character more than it may have: a person who is not known for certain has no preferences.
                       pg_catalog.left(c.person_id::pg_catalog.text, 401) AS person_id,
                       pg_catalog.left(c.phone::pg_catalog.text, 100) AS phone,
                       c.sms_allowed::pg_catalog.bool AS sms_allowed,
                       others.guests, others.guest_people
                  FROM ROWS FROM (pg_catalog.unnest(pg_catalog.current_setting('booking_automation.events')::pg_catalog.uuid[]),
                                  pg_catalog.unnest(pg_catalog.current_setting('booking_automation.bookings')::pg_catalog.uuid[]),
                                  pg_catalog.unnest(pg_catalog.current_setting('booking_automation.audiences')::pg_catalog.text[]),
                                  -- Where nothing was handed over, the first recipients.
                                  pg_catalog.unnest(CASE WHEN pg_catalog.current_setting('booking_automation.recipients', true) OPERATOR(pg_catalog.<>) ''
                                                    THEN pg_catalog.current_setting('booking_automation.recipients')::pg_catalog.text[] END))
                       WITH ORDINALITY AS e (id, booking_id, audience, guest, position)
                 -- Columns that the view may lack. Where it has them, the names below mean its own.
                 CROSS JOIN (SELECT NULL::pg_catalog.text AS language, NULL::pg_catalog.text AS reply_to, NULL::pg_catalog.text AS person_id,
                                    NULL::pg_catalog.text AS recipient, NULL::pg_catalog.text AS phone,
                                    NULL::pg_catalog.bool AS sms_allowed) AS absent
                  LEFT JOIN LATERAL (
                        -- The other recipients of a first one's message.
                        SELECT pg_catalog.array_agg(g.guest) AS guests, pg_catalog.array_agg(g.person_id) AS guest_people
                          FROM (SELECT guest.recipient AS guest, pg_catalog.min(guest.person_id) AS person_id
                                  FROM (SELECT pg_catalog.left(pg_catalog.btrim(recipient::pg_catalog.text), 200) AS recipient,
                                               pg_catalog.left(person_id::pg_catalog.text, 401) AS person_id
                                          FROM public.booking_automation_contacts AS c
                                         WHERE c.booking_id OPERATOR(pg_catalog.=) e.booking_id AND c.audience OPERATOR(pg_catalog.=) e.audience
                                           AND COALESCE(e.guest, '') OPERATOR(pg_catalog.=) ''
                                           AND COALESCE(pg_catalog.btrim(recipient::pg_catalog.text), '') OPERATOR(pg_catalog.<>) '') AS guest
                                 GROUP BY guest.recipient ORDER BY guest.recipient LIMIT $2) AS g
                       ) AS others ON true
                  LEFT JOIN LATERAL (
                        -- One row, even if the view has several of a recipient: a message is claimed once.
                        SELECT c.email, c.name, c.timezone, language, c.service, c.with_name, c.place, c.meeting_link,
                               c.is_online, c.place_timezone, reply_to, person_id, phone, sms_allowed
                          FROM public.booking_automation_contacts AS c
                         WHERE c.booking_id OPERATOR(pg_catalog.=) e.booking_id AND c.audience OPERATOR(pg_catalog.=) e.audience
                           AND COALESCE(pg_catalog.left(pg_catalog.btrim(recipient::pg_catalog.text), 200), '') OPERATOR(pg_catalog.=) COALESCE(e.guest, '')
                         LIMIT 1
                       ) AS c ON true
               ) AS contact
       ) AS page
 WHERE page.bytes OPERATOR(pg_catalog.<=) $1 OR page.position OPERATOR(pg_catalog.=) 1
