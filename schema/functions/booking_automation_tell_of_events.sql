-- After events were recorded, writes webhook messages: of status changes when they are inserted, of reminders when they
-- become sent.
CREATE OR REPLACE FUNCTION public.booking_automation_tell_of_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off -- see booking_automation_on_update
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    IF TG_RELID <> 'public.booking_automation_events'::regclass THEN
        RAISE EXCEPTION 'this function is only for booking_automation_events' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (SELECT FROM public.booking_automation_webhooks WHERE is_active AND suspended_at IS NULL) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- The messages are inserted into the same table: without this check the trigger would recurse without end.
        IF NOT EXISTS (SELECT FROM new_rows WHERE event_type = 'status_update' AND status = 'completed') THEN
            RETURN NULL;
        END IF;
        INSERT INTO public.booking_automation_events
               (booking_id, event_type, channel, rule, audience, message_id, event_data, scheduled_at, executed_at, status, next_attempt_at)
        SELECT n.booking_id, 'webhook', 'webhook', k.kind, w.id::text, n.id::text,
               jsonb_build_object('type', 'booking.' || k.kind, 'timestamp', public.booking_automation_rfc3339(n.executed_at),
                   'data', jsonb_build_object('booking_id', n.booking_id, 'from', n.event_data -> 'from', 'to', n.event_data -> 'to',
                       'by', n.event_data -> 'by')),
               n.executed_at, NULL, 'pending', clock_timestamp()
          FROM new_rows n
          JOIN (VALUES ('in_progress', 'started'), ('completed', 'completed'), ('expired', 'expired'), ('cancelled', 'cancelled'))
               AS k (status, kind) ON k.status = n.event_data ->> 'to'
          JOIN (SELECT id, unnest(kinds) AS kind FROM public.booking_automation_webhooks WHERE is_active AND suspended_at IS NULL)
               AS w ON w.kind = k.kind
         -- Not for a change that the database refused.
         WHERE n.event_type = 'status_update' AND n.status = 'completed'
         ORDER BY n.seq
        ON CONFLICT (message_id, audience) WHERE event_type = 'webhook' DO NOTHING;
    ELSE
        INSERT INTO public.booking_automation_events
               (booking_id, event_type, channel, rule, audience, message_id, event_data, scheduled_at, executed_at, status, next_attempt_at)
        SELECT n.booking_id, 'webhook', 'webhook', w.kind, w.id::text, n.id::text,
               jsonb_build_object('type', 'booking.reminder_sent', 'timestamp', public.booking_automation_rfc3339(n.executed_at),
                   -- Only a guest is named.
                   'data', jsonb_strip_nulls(jsonb_build_object('booking_id', n.booking_id, 'rule', n.rule, 'audience', n.audience,
                       'recipient', nullif(n.recipient, ''), 'channel', coalesce(n.via, split_part(n.channel, '>', 1)),
                       'starts_at', public.booking_automation_rfc3339(n.starts_at)))),
               n.executed_at, NULL, 'pending', clock_timestamp()
          FROM new_rows n
          JOIN old_rows o ON o.id = n.id
          JOIN (SELECT id, unnest(kinds) AS kind FROM public.booking_automation_webhooks WHERE is_active AND suspended_at IS NULL)
               AS w ON w.kind = 'reminder_sent'
         WHERE n.event_type IN ('reminder_sent', 'guest_reminder_sent') AND n.status = 'completed' AND o.status <> 'completed'
         ORDER BY n.seq
        ON CONFLICT (message_id, audience) WHERE event_type = 'webhook' DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_tell_of_events() FROM PUBLIC;
