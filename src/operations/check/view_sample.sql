-- Reads the contacts of ten bookings as delivery does: one row for each booking and audience.
SELECT count(*) AS rows,
       -- So that every column is computed.
       coalesce(sum(length(concat(btrim(c.email), c.email::text, c.name::text, c.timezone::text, c.service::text,
           c.with_name::text, c.place::text, c.meeting_link::text, c.is_online::boolean, c.place_timezone::text))), 0) AS letters
  FROM (SELECT b.id FROM public.bookings b LIMIT 10) AS b
 CROSS JOIN unnest(ARRAY['customer', 'provider']) AS a (audience)
  LEFT JOIN LATERAL (
        SELECT * FROM public.booking_automation_contacts v WHERE v.booking_id = b.id AND v.audience = a.audience LIMIT 1
       ) AS c ON true
