-- The provider's id of a message, if the provider's events show that it accepted the message; else NULL. Its events about a
-- mail for several are about the message that leads; they count for those whose latest attempt was made in its mail.
CREATE OR REPLACE FUNCTION public.booking_automation_settled_by(event_id uuid)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT (array_agg(f.message_id ORDER BY f.id))[1]
      FROM public.booking_automation_feedback f
     WHERE f.event_id = ANY (ARRAY[
               booking_automation_settled_by.event_id,
               (SELECT leader.id
                  FROM public.booking_automation_events e
                  JOIN public.booking_automation_events leader ON leader.id = e.led_by AND leader.attempts = e.attempts
                       -- It has not moved on to another channel since, where its attempts are counted anew.
                       AND to_jsonb(leader) ->> 'via' IS NOT DISTINCT FROM to_jsonb(e) ->> 'via'
                 WHERE e.id = booking_automation_settled_by.event_id AND e.led_attempt = e.attempts)])
$$;
