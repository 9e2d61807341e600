-- The time that triggers record: the pass's `as_of` inside a pass, else the database clock.
CREATE OR REPLACE FUNCTION public.booking_automation_now()
RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(CASE WHEN current_setting('booking_automation.as_of', true) <> '' AND public.booking_automation_is_trusted()
                         THEN current_setting('booking_automation.as_of', true)::timestamptz END,
                    clock_timestamp())
$$;
