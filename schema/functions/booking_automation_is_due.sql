-- Whether a reminder of this rule is due at a moment for a booking with this start: from the lead before the start
-- until the start, unless its due time is before the rule took effect. It only compares the start, so that the index on
-- it can be used.
CREATE OR REPLACE FUNCTION public.booking_automation_is_due(starts_at timestamptz, lead interval, effective_from timestamptz, moment timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT starts_at > moment AND starts_at <= moment + lead AND starts_at >= effective_from + lead
$$;
