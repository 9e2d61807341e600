-- Fires for finished events only. SECURITY DEFINER: the writer may have no privileges on the table of erasures.
CREATE OR REPLACE FUNCTION public.booking_automation_keep_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    -- Allowed: the provider reports that it accepted a message which had failed here.
    IF TG_OP = 'UPDATE' AND OLD.status = 'failed' AND NEW.status = 'completed' AND OLD.event_type IN ('reminder_sent', 'guest_reminder_sent', 'notification_sent')
       AND (NEW.event_data -> 'attempts' -> -1 ->> 'settled_by')::boolean
       AND NEW.event_data #- '{attempts,-1}' = jsonb_set(coalesce(OLD.event_data, '{}'), '{attempts}', coalesce(OLD.event_data -> 'attempts', '[]'))
       AND (NEW.id, NEW.booking_id, NEW.event_type, NEW.scheduled_at, NEW.created_at, NEW.seq,
            NEW.rule, NEW.audience, NEW.channel, NEW.recipient, NEW.revision, NEW.starts_at, NEW.attempts)
           IS NOT DISTINCT FROM
           (OLD.id, OLD.booking_id, OLD.event_type, OLD.scheduled_at, OLD.created_at, OLD.seq,
            OLD.rule, OLD.audience, OLD.channel, OLD.recipient, OLD.revision, OLD.starts_at, OLD.attempts) THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT FROM public.booking_automation_erasures WHERE transaction = pg_current_xact_id()) THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'the audit trail cannot be changed: event % is finished', OLD.id
          USING ERRCODE = 'restrict_violation',
                HINT = 'RETENTION deletes old events; DELETE /people/{id}/messages erases what was sent to a person';
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_keep_event() FROM PUBLIC;
