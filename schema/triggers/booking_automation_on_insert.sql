CREATE TRIGGER booking_automation_on_insert AFTER INSERT ON public.bookings
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_on_insert();
