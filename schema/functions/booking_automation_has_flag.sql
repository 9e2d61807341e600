-- Whether `bookings` has a flag for a reminder that was sent.
CREATE OR REPLACE FUNCTION public.booking_automation_has_flag(rule text, audience text)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT audience = 'customer' AND rule IN ('24h', '1h', '15m')
$$;
