-- The bookings that this run changed and that are due for the same step again: a trigger set them back.
--   $1 as_of  $2, $3 as in step_candidates.sql  $4 the run
SELECT b.id
{candidates} AND EXISTS (
       SELECT FROM public.booking_automation_events e
        WHERE e.booking_id = b.id AND e.event_type = 'status_update' AND e.status = 'completed'
          AND e.event_data ->> 'run_id' = $4 AND e.event_data ->> 'to' = '{to}')
