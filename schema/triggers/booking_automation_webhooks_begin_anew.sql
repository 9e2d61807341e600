CREATE TRIGGER booking_automation_webhooks_begin_anew BEFORE UPDATE ON public.booking_automation_webhooks
    FOR EACH ROW EXECUTE FUNCTION public.booking_automation_webhooks_begin_anew();
