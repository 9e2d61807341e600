-- An event's data after its chain has moved on from a channel, with the reason.
CREATE OR REPLACE FUNCTION public.booking_automation_moved_on(event_data jsonb, via text, reason text, moment timestamptz)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_set(CASE WHEN jsonb_typeof(event_data) = 'object' THEN event_data ELSE '{}' END, '{chain}',
                     CASE WHEN jsonb_typeof(event_data -> 'chain') = 'array' THEN event_data -> 'chain' ELSE '[]' END
                     || jsonb_build_object('channel', via, 'reason', reason, 'at', moment))
$$;
