-- Records that the database refused a step of some bookings.
--   $1 bookings  $2 from  $3 to  $4 the run  $5 as_of  $6 the server's message  $7 seconds until it is tried again
INSERT INTO public.booking_automation_events
       (booking_id, event_type, event_data, scheduled_at, executed_at, status, reason, error_message, next_attempt_at)
SELECT booking_id, 'status_update',
       jsonb_build_object('from', $2, 'to', $3, 'by', 'booking-automation', 'run_id', $4),
       $5, $5, 'failed', 'refused', $6, $5 + make_interval(secs => $7)
  FROM unnest($1) AS booking_id
