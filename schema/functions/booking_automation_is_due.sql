-- Whether a reminder of this rule is due at a moment for a booking with this start: from its lead on, until the start, unless its
-- due time lies before the rule took effect. Plain comparisons of the start, which its index serves.
CREATE OR REPLACE FUNCTION booking_automation_is_due(starts_at timestamptz, lead interval, effective_from timestamptz, moment timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT starts_at > moment AND starts_at <= moment + lead AND starts_at >= effective_from + lead
$$;
