-- When a booking ends. IMMUTABLE, so that it can be indexed: the sum is calculated in UTC, where a day has 24 hours. A
-- missing or negative duration counts as zero. A start near the end of the calendar (infinity included) is its own end,
-- since an overflow would fail the writer's statement. bigint, so that the column can be widened.
-- RETURN: the operators are bound now. A role that writes a booking evaluates the index expression under its own
-- search_path and with its own privileges.
CREATE OR REPLACE FUNCTION public.booking_automation_end(scheduled_at timestamptz, duration_minutes bigint)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN scheduled_at < timestamptz '280000-01-01 00:00:00+00' AND isfinite(scheduled_at)
    THEN (scheduled_at AT TIME ZONE 'UTC'
          + least(greatest(coalesce(duration_minutes, 0), 0), 2147483647) * interval '1 minute') AT TIME ZONE 'UTC'
    ELSE scheduled_at
END;
GRANT EXECUTE ON FUNCTION public.booking_automation_end(timestamptz, bigint) TO PUBLIC;
