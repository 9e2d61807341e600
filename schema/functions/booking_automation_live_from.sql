-- Where a pass of a moment begins to look for bookings of a status: no booking whose start (in progress: end) is earlier
-- was live at the latest sweep. Marks of another hour do not count, so that a booking that becomes live again waits for an
-- hour at most.
CREATE OR REPLACE FUNCTION public.booking_automation_live_from(of_status text, moment timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT m.before FROM public.booking_automation_not_live m
                      WHERE m.status = of_status AND m.looked_at <= moment AND m.looked_at > moment - interval '70 minutes'),
                    '-infinity')
$$;
