-- The latest schedule revision of a booking for which there is a decision. It stands in for a missing row of
-- booking_automation_state, so that an emptied table neither repeats nor loses a reminder.
CREATE OR REPLACE FUNCTION public.booking_automation_latest_revision(booking_id uuid)
RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(e.revision), 0) FROM public.booking_automation_events e
     WHERE e.event_type = 'reminder_sent' AND e.rule <> '' AND e.booking_id = $1
$$;
