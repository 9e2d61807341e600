-- The next bookings that the sweep examines: confirmed, within the longest lead, in the order of their starts.
--   $1 as_of
SELECT b.id, b.scheduled_at, s.size, s.starts_at AS from_start, s.booking_id AS from_booking,
       -- Before step 29, the table lacks this column: each sweep has the time of one that catches up.
       s.catches_up
  FROM (SELECT true AS catches_up) AS absent
 CROSS JOIN LATERAL (
        SELECT size, starts_at, booking_id, catches_up FROM public.booking_automation_sweep) AS s
 CROSS JOIN LATERAL (
        SELECT b.id, b.scheduled_at
          FROM public.bookings b
         WHERE b.status = 'confirmed'
           AND b.scheduled_at > $1 AND b.scheduled_at <= $1 + (SELECT max(lead) FROM public.reminder_rules)
           -- The first comparison is the one that uses the index.
           AND b.scheduled_at >= s.starts_at AND (b.scheduled_at, b.id) > (s.starts_at, s.booking_id)
         ORDER BY b.scheduled_at, b.id
         LIMIT s.size) AS b
 ORDER BY b.scheduled_at, b.id
