CREATE TRIGGER booking_automation_digests_begin_anew BEFORE INSERT OR UPDATE ON public.booking_automation_digest_rules
    FOR EACH ROW EXECUTE FUNCTION public.booking_automation_digests_begin_anew();
