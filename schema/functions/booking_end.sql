-- booking_automation_end by its name until 0.2.0: that release, and the index of its installations, still call it. The
-- planner inlines both, so that this release uses that index, too. The next release drops this function.
CREATE OR REPLACE FUNCTION public.booking_end(scheduled_at timestamptz, duration_minutes bigint)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN scheduled_at < timestamptz '280000-01-01 00:00:00+00' AND isfinite(scheduled_at)
    THEN (scheduled_at AT TIME ZONE 'UTC'
          + least(greatest(coalesce(duration_minutes, 0), 0), 2147483647) * interval '1 minute') AT TIME ZONE 'UTC'
    ELSE scheduled_at
END;
GRANT EXECUTE ON FUNCTION public.booking_end(timestamptz, bigint) TO PUBLIC;
