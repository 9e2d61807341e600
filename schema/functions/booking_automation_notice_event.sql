-- What an event of the trail means for notices; NULL: nothing. An undone step does not confirm a booking again, nor does
-- a cancellation that was asked for and refused. A booking may be refunded without being cancelled before.
CREATE OR REPLACE FUNCTION public.booking_automation_notice_event(event_type text, event_data jsonb)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN event_type = 'rescheduled' THEN 'rescheduled'
        WHEN event_type <> 'status_update' THEN NULL
        WHEN event_data ->> 'to' IN ('cancelled', 'expired', 'completed') THEN event_data ->> 'to'
        WHEN event_data ->> 'to' = 'refunded' AND event_data ->> 'from' IN ('confirmed', 'in_progress', 'pending_cancellation') THEN 'cancelled'
        WHEN event_data ->> 'to' = 'confirmed' AND coalesce(event_data ->> 'from', '') NOT IN
             ('in_progress', 'completed', 'expired', 'pending_completion', 'pending_cancellation') THEN 'confirmed'
    END
$$;
