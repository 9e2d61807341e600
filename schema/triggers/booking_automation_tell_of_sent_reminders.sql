CREATE TRIGGER booking_automation_tell_of_sent_reminders AFTER UPDATE ON public.booking_automation_events
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_tell_of_events();
