-- Formats a time for other programs (RFC 3339), independent of the session's time zone.
CREATE OR REPLACE FUNCTION public.booking_automation_rfc3339(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN isfinite(at) THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END
$$;
