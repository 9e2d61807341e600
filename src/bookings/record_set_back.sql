-- Records a refusal for each booking that this run changed and that is due for the same step again: a trigger set it
-- back.
--   $1 as_of  $2, $3 as in step_candidates.sql  $4 the run  $5 seconds until it is tried again
INSERT INTO public.booking_automation_events
       (booking_id, event_type, event_data, scheduled_at, executed_at, status, reason, error_message, next_attempt_at)
SELECT b.id, 'status_update',
       jsonb_build_object('from', '{from}', 'to', '{to}', 'by', 'booking-automation', 'run_id', $4),
       $1, $1, 'failed', 'refused', 'a trigger set the status back', $1 + make_interval(secs => $5)
{candidates} AND EXISTS (
       SELECT FROM public.booking_automation_events e
        WHERE e.booking_id = b.id AND e.event_type = 'status_update' AND e.status = 'completed'
          AND e.event_data ->> 'run_id' = $4 AND e.event_data ->> 'to' = '{to}')
RETURNING booking_id
