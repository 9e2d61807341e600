CREATE TRIGGER booking_automation_queue_notices AFTER INSERT ON public.booking_automation_events
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_queue_notices();
