-- The time that triggers record: the pass's `as_of` inside a pass, else the database clock.
CREATE OR REPLACE FUNCTION public.booking_automation_now()
RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('booking_automation.as_of', true), '')::timestamptz,
                    clock_timestamp())
$$;
