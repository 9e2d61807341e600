-- The record of an attempt whose lease ran out: its outcome is not known.
CREATE OR REPLACE FUNCTION public.booking_automation_lost_attempt(attempt integer)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('attempt', attempt, 'outcome', 'unknown', 'error', 'the lease ran out')
$$;
