CREATE TRIGGER booking_automation_keep_erasures BEFORE DELETE OR TRUNCATE ON public.booking_automation_erasures
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_keep_table();
