-- The bookings whose step the database refused, and that are not tried again yet; and the latest message.
SELECT count(DISTINCT booking_id) AS bookings, (array_agg(left(error_message, 200) ORDER BY seq DESC))[1] AS message
  FROM public.booking_automation_events
 WHERE event_type = 'status_update' AND status = 'failed' AND next_attempt_at > now()
