-- Records that the database refused a step of some bookings, and for how long each is set aside: a minute, and twice as
-- long each further time, up to a day.
--   $1 bookings  $2 from  $3 to  $4 the run  $5 as_of  $6 of each, the server's message
--   $7 the step was refused for all alike: those that were never set aside are not now, and one record of each is enough
INSERT INTO public.booking_automation_events
       (booking_id, event_type, event_data, scheduled_at, executed_at, status, reason, error_message, next_attempt_at)
SELECT r.booking_id, 'status_update',
       jsonb_build_object('from', $2, 'to', $3, 'by', 'booking-automation', 'run_id', $4),
       $5, $5, 'failed', 'refused', left(r.message, 2000),
       $5 + CASE WHEN $7 AND before.times = 0 THEN interval '0' ELSE least(interval '1 minute' * power(2, least(before.times, 11)), interval '1 day') END
  FROM unnest($1, $6) AS r (booking_id, message)
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE f.next_attempt_at > f.executed_at) AS times, count(*) > 0 AS is_recorded
         FROM public.booking_automation_events f
        WHERE f.booking_id = r.booking_id AND f.event_type = 'status_update' AND f.status = 'failed'
          AND f.event_data ->> 'from' = $2 AND f.event_data ->> 'to' = $3
      ) AS before
 WHERE NOT ($7 AND before.times = 0 AND before.is_recorded)
