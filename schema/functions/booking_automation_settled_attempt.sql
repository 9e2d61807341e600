-- The record of an attempt that the provider's own event settled.
CREATE OR REPLACE FUNCTION public.booking_automation_settled_attempt(attempt integer, at timestamptz, message_id text)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('attempt', attempt, 'at', at, 'outcome', 'sent', 'message_id', message_id, 'settled_by', true)
$$;
