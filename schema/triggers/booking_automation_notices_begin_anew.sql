CREATE TRIGGER booking_automation_notices_begin_anew BEFORE INSERT OR UPDATE ON public.booking_automation_notice_rules
    FOR EACH ROW EXECUTE FUNCTION public.booking_automation_notices_begin_anew();
