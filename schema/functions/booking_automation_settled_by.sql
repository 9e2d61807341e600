-- The provider's id of a message, if the provider's events show that it accepted the message; else NULL.
CREATE OR REPLACE FUNCTION public.booking_automation_settled_by(event_id uuid)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT (array_agg(f.message_id ORDER BY f.id))[1] FROM public.booking_automation_feedback f WHERE f.event_id = booking_automation_settled_by.event_id
$$;
