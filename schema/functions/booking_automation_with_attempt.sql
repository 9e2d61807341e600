-- An event's data with one more attempt: the last 20 are recorded. Data that is no object, which another program wrote,
-- is replaced.
CREATE OR REPLACE FUNCTION public.booking_automation_with_attempt(event_data jsonb, attempt jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_set(CASE WHEN jsonb_typeof(event_data) = 'object' THEN event_data ELSE '{}' END, '{attempts}',
                     CASE WHEN jsonb_typeof(event_data -> 'attempts') = 'array'
                          THEN jsonb_path_query_array(event_data, '$.attempts[last - 18 to last]') ELSE '[]' END || attempt)
$$;
