CREATE TRIGGER booking_automation_tell_of_new_events AFTER INSERT ON public.booking_automation_events
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_tell_of_events();
