-- Which messages that were handed over have no recipient with an address. It runs with the settings of the user's database, since the
-- contacts view may call functions of theirs; so every operator, function and type is named with its schema.
SELECT e.id, e.audience
  FROM ROWS FROM (pg_catalog.unnest(pg_catalog.current_setting('booking_automation.events')::pg_catalog.uuid[]),
                  pg_catalog.unnest(pg_catalog.current_setting('booking_automation.bookings')::pg_catalog.uuid[]),
                  pg_catalog.unnest(pg_catalog.current_setting('booking_automation.audiences')::pg_catalog.text[]))
       AS e (id, booking_id, audience)
 WHERE NOT EXISTS (
           SELECT FROM public.booking_automation_contacts AS c
            WHERE c.booking_id OPERATOR(pg_catalog.=) e.booking_id AND c.audience OPERATOR(pg_catalog.=) e.audience
              AND COALESCE(pg_catalog.btrim(c.email), '') OPERATOR(pg_catalog.<>) '' OFFSET 0)
