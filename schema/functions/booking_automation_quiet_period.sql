-- The quiet hours of a person that a moment lies in; NULL: it lies in none. Both ends are those of the day in question:
-- the clocks may change in between, and hours that go on after midnight began the day before.
CREATE OR REPLACE FUNCTION public.booking_automation_quiet_period(moment timestamptz, quiet_from time, quiet_until time, zone text)
RETURNS tstzrange LANGUAGE plpgsql STABLE AS $$
DECLARE
    is_overnight boolean := quiet_from > quiet_until;
    local_time   timestamp;
    first_day    date;
    begins_at    timestamptz;
    ends_at      timestamptz;
BEGIN
    IF quiet_from IS NULL OR quiet_until IS NULL OR zone IS NULL OR NOT isfinite(moment) THEN
        RETURN NULL;
    END IF;
    local_time := moment AT TIME ZONE zone;
    first_day := local_time::date - (is_overnight AND local_time::time < quiet_until)::integer;
    begins_at := (first_day + quiet_from) AT TIME ZONE zone;
    ends_at := (first_day + is_overnight::integer + quiet_until) AT TIME ZONE zone;
    IF moment < begins_at OR moment >= ends_at THEN
        RETURN NULL;
    END IF;
    RETURN tstzrange(begins_at, ends_at);
EXCEPTION
    -- The server does not know the zone any more, or cannot compute with the year: there are no quiet hours.
    WHEN invalid_parameter_value OR datetime_field_overflow THEN
        RETURN NULL;
END
$$;
