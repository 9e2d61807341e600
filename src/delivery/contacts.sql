-- Persons, addresses and places of the messages that claim_candidates.sql locked. It runs with the settings of the
-- user's database, since the view may call functions of theirs; so every operator, function and type is named with its
-- schema. Each value is cast: the user's view may have other types.
SELECT e.id, c.email::pg_catalog.text, c.name::pg_catalog.text, c.timezone::pg_catalog.text, c.service::pg_catalog.text,
       c.with_name::pg_catalog.text, c.place::pg_catalog.text, c.meeting_link::pg_catalog.text,
       COALESCE(c.is_online::pg_catalog.bool, false) AS is_online, c.place_timezone::pg_catalog.text
  FROM ROWS FROM (pg_catalog.unnest(pg_catalog.current_setting('booking_automation.events')::pg_catalog.uuid[]),
                  pg_catalog.unnest(pg_catalog.current_setting('booking_automation.bookings')::pg_catalog.uuid[]),
                  pg_catalog.unnest(pg_catalog.current_setting('booking_automation.audiences')::pg_catalog.text[]))
       AS e (id, booking_id, audience)
  LEFT JOIN LATERAL (
        -- One row, even if the view has several: a message is claimed once.
        SELECT * FROM public.booking_automation_contacts AS c
         WHERE c.booking_id OPERATOR(pg_catalog.=) e.booking_id AND c.audience OPERATOR(pg_catalog.=) e.audience LIMIT 1
       ) AS c ON true
