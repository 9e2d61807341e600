-- The quiet hours of a person that a moment lies in; NULL: it lies in none. Both ends are those of the day in question:
-- the clocks may change in between, and hours that go on after midnight began the day before.
CREATE OR REPLACE FUNCTION public.booking_automation_quiet_period(moment timestamptz, quiet_from time, quiet_until time, zone text,
                                                                  OUT begins_at timestamptz, OUT ends_at timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    local_time  timestamp;
    first_day   date;
    is_overnight boolean := quiet_from > quiet_until;
BEGIN
    IF quiet_from IS NULL OR quiet_until IS NULL OR zone IS NULL OR NOT isfinite(moment) THEN
        RETURN;
    END IF;
    local_time := moment AT TIME ZONE zone;
    first_day := local_time::date - (is_overnight AND local_time::time < quiet_until)::integer;
    begins_at := (first_day + quiet_from) AT TIME ZONE zone;
    ends_at := (first_day + is_overnight::integer + quiet_until) AT TIME ZONE zone;
    IF moment < begins_at OR moment >= ends_at THEN
        begins_at := NULL;
        ends_at := NULL;
    END IF;
EXCEPTION
    -- The server does not know the zone any more, or cannot compute with the year: there are no quiet hours.
    WHEN invalid_parameter_value OR datetime_field_overflow THEN
        begins_at := NULL;
        ends_at := NULL;
END
$$;
