-- The events whose flags on `bookings` are behind, with their bookings, which it locks. A booking that another
-- transaction has locked waits for the next time.
--   $1 how many events, at most
--   $2 only these bookings (NULL: all)
WITH event AS MATERIALIZED (
    SELECT id, booking_id, rule, starts_at
      FROM public.booking_automation_events
     WHERE flag_due AND ($2::uuid[] IS NULL OR booking_id = ANY ($2))
     ORDER BY seq
     LIMIT $1
), booking AS MATERIALIZED (
    SELECT b.id, b.scheduled_at
      FROM public.bookings b
     WHERE b.id IN (SELECT booking_id FROM event)
       FOR NO KEY UPDATE SKIP LOCKED
)
SELECT event.id AS event_id, event.booking_id, event.rule,
       -- Only reminders that were sent for the booking's current start.
       coalesce(event.starts_at = booking.scheduled_at, false) AS is_current
  FROM event
  LEFT JOIN booking ON booking.id = event.booking_id
 -- The booking is there, or is gone.
 WHERE booking.id IS NOT NULL OR NOT EXISTS (SELECT FROM public.bookings b WHERE b.id = event.booking_id)
