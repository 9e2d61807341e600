-- An event's data with one more attempt: every attempt is recorded.
CREATE OR REPLACE FUNCTION public.booking_automation_with_attempt(event_data jsonb, attempt jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_set(coalesce(event_data, '{}'), '{attempts}', coalesce(event_data -> 'attempts', '[]') || attempt)
$$;
