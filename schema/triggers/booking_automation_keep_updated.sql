-- Except `flag_due` and the reason why the flag could not be set, which are not part of the history.
CREATE TRIGGER booking_automation_keep_updated BEFORE UPDATE ON public.booking_automation_events
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'skipped') AND
        (NEW.id, NEW.booking_id, NEW.event_type, NEW.event_data - 'flag_error', NEW.scheduled_at, NEW.executed_at, NEW.status, NEW.error_message,
         NEW.created_at, NEW.seq, NEW.rule, NEW.audience, NEW.channel, NEW.revision, NEW.starts_at, NEW.attempts, NEW.claim,
         NEW.lease_until, NEW.next_attempt_at, NEW.reason, NEW.message_id)
        IS DISTINCT FROM
        (OLD.id, OLD.booking_id, OLD.event_type, OLD.event_data - 'flag_error', OLD.scheduled_at, OLD.executed_at, OLD.status, OLD.error_message,
         OLD.created_at, OLD.seq, OLD.rule, OLD.audience, OLD.channel, OLD.revision, OLD.starts_at, OLD.attempts, OLD.claim,
         OLD.lease_until, OLD.next_attempt_at, OLD.reason, OLD.message_id))
    EXECUTE FUNCTION public.booking_automation_keep_event();
