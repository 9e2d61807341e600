-- What later releases added to the key of a finished message: see booking_automation_keep_updated.
CREATE TRIGGER booking_automation_keep_keys BEFORE UPDATE ON public.booking_automation_events
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'skipped') AND
        (NEW.about, NEW.person_id, NEW.local_day, NEW.recipient, NEW.via) IS DISTINCT FROM
        (OLD.about, OLD.person_id, OLD.local_day, OLD.recipient, OLD.via))
    EXECUTE FUNCTION public.booking_automation_keep_event();
