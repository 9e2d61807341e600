CREATE TRIGGER booking_automation_keep_all BEFORE TRUNCATE ON public.booking_automation_events
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_keep_table();
