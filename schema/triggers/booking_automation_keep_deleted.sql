CREATE TRIGGER booking_automation_keep_deleted BEFORE DELETE ON public.booking_automation_events
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'skipped'))
    EXECUTE FUNCTION public.booking_automation_keep_event();
