CREATE TRIGGER booking_automation_keep_erasure BEFORE INSERT OR UPDATE ON public.booking_automation_erasures
    FOR EACH ROW EXECUTE FUNCTION public.booking_automation_keep_erasure();
