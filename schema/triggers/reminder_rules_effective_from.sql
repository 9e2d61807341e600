CREATE TRIGGER reminder_rules_effective_from BEFORE INSERT OR UPDATE ON public.reminder_rules
    FOR EACH ROW EXECUTE FUNCTION public.reminder_rules_effective_from();
