CREATE TRIGGER booking_automation_effective_from BEFORE INSERT OR UPDATE ON public.reminder_rules
    FOR EACH ROW EXECUTE FUNCTION public.booking_automation_effective_from();
