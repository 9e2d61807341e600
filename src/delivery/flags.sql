-- Sets the brief's flags on `bookings` from the reminders that were sent. A booking that another transaction has locked
-- waits for the next time.
--   $1 how many events, at most
--   $2 only these bookings (NULL: all)
WITH event AS MATERIALIZED (
    SELECT id, booking_id, rule, starts_at
      FROM booking_automation_events
     WHERE flag_due AND ($2::uuid[] IS NULL OR booking_id = ANY ($2))
     ORDER BY seq
     LIMIT $1
), booking AS MATERIALIZED (
    SELECT b.id, b.scheduled_at
      FROM bookings b
     WHERE b.id IN (SELECT booking_id FROM event)
       FOR NO KEY UPDATE SKIP LOCKED
), due AS (
    -- Only reminders that were sent for the booking's current start.
    SELECT b.id, bool_or(e.rule = '24h') AS day, bool_or(e.rule = '1h') AS hour, bool_or(e.rule = '15m') AS quarter
      FROM booking b
      JOIN event e ON e.booking_id = b.id AND e.starts_at = b.scheduled_at
     GROUP BY b.id
), flagged AS (
    UPDATE bookings b
       SET reminder_24h_sent = coalesce(b.reminder_24h_sent, false) OR d.day,
           reminder_1h_sent  = coalesce(b.reminder_1h_sent, false) OR d.hour,
           reminder_15m_sent = coalesce(b.reminder_15m_sent, false) OR d.quarter
      FROM due d
     WHERE b.id = d.id
       -- Only a real change, so that the user's triggers do not fire for nothing.
       AND (d.day AND b.reminder_24h_sent IS NOT TRUE
            OR d.hour AND b.reminder_1h_sent IS NOT TRUE
            OR d.quarter AND b.reminder_15m_sent IS NOT TRUE)
)
UPDATE booking_automation_events e
   SET flag_due = false
  FROM event
 WHERE e.id = event.id
   -- The flags are set, or the booking is gone.
   AND (event.booking_id IN (SELECT id FROM booking)
        OR NOT EXISTS (SELECT FROM bookings b WHERE b.id = event.booking_id))
