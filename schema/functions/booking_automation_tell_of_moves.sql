-- After bookings were moved, writes webhook messages for those that are not in a final status.
CREATE OR REPLACE FUNCTION public.booking_automation_tell_of_moves() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    moment timestamptz;
    actor  text;
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('public.bookings') THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (SELECT FROM public.booking_automation_webhooks
                    WHERE is_active AND suspended_at IS NULL AND 'rescheduled' = ANY (kinds)) THEN
        RETURN NULL;
    END IF;
    moment := public.booking_automation_now();
    actor := coalesce(CASE WHEN public.booking_automation_is_trusted()
                           THEN left(nullif(current_setting('booking_automation.actor', true), ''), 200) END, session_user);
    WITH moved AS MATERIALIZED (
        -- With the id of the event that booking_automation_on_update, whose trigger fires before this one, has recorded.
        SELECT n.id, coalesce((SELECT e.id FROM public.booking_automation_events e
                                WHERE e.booking_id = n.id AND e.event_type = 'rescheduled'
                                  AND e.event_data ->> 'from' IS NOT DISTINCT FROM public.booking_automation_rfc3339(o.scheduled_at)
                                  AND e.event_data ->> 'to' IS NOT DISTINCT FROM public.booking_automation_rfc3339(n.scheduled_at)
                                ORDER BY e.seq DESC LIMIT 1), gen_random_uuid()) AS event_id,
               o.scheduled_at AS old_start, n.scheduled_at AS new_start
          FROM new_rows n
          JOIN old_rows o ON o.id = n.id
         WHERE o.scheduled_at IS DISTINCT FROM n.scheduled_at
           -- A trigger of the user may have moved it again: that inner statement has already written its message.
           AND (SELECT b.scheduled_at FROM public.bookings b WHERE b.id = n.id) IS NOT DISTINCT FROM n.scheduled_at
           AND n.status NOT IN ('completed', 'cancelled', 'rejected', 'refunded', 'failed', 'expired')
    )
    INSERT INTO public.booking_automation_events
           (booking_id, event_type, channel, rule, audience, message_id, event_data, scheduled_at, executed_at, status, next_attempt_at)
    SELECT m.id, 'webhook', 'webhook', 'rescheduled', w.id::text, m.event_id::text,
           jsonb_build_object('type', 'booking.rescheduled', 'timestamp', public.booking_automation_rfc3339(moment),
               'data', jsonb_build_object('booking_id', m.id, 'from', public.booking_automation_rfc3339(m.old_start),
                   'to', public.booking_automation_rfc3339(m.new_start), 'by', actor)),
           moment, NULL, 'pending', clock_timestamp()
      FROM moved m
      JOIN public.booking_automation_webhooks w ON w.is_active AND w.suspended_at IS NULL AND 'rescheduled' = ANY (w.kinds)
    ON CONFLICT (message_id, audience) WHERE event_type = 'webhook' DO NOTHING;
    RETURN NULL;
-- A column was renamed, dropped or got another type: see booking_automation_on_update.
EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_text_representation OR feature_not_supported THEN
    RETURN NULL;
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_tell_of_moves() FROM PUBLIC;
