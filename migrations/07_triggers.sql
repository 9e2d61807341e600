-- Triggers on other programs' writes. The functions (schema/functions/) run inside those programs' statements. So they
-- are set-based, never wait for our locks, and are SECURITY DEFINER with a fixed search_path, since the writer has no
-- privileges on our tables. The indexes on `bookings` exist at this step.

DROP TRIGGER IF EXISTS booking_automation_on_update ON public.bookings;
CREATE TRIGGER booking_automation_on_update AFTER UPDATE ON public.bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_on_update();

DROP TRIGGER IF EXISTS booking_automation_on_insert ON public.bookings;
CREATE TRIGGER booking_automation_on_insert AFTER INSERT ON public.bookings
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_on_insert();

-- Triggers of one kind fire in order of name: this one is last, and sees the start after the user's triggers.
DROP TRIGGER IF EXISTS zzz_booking_automation_on_move ON public.bookings;
CREATE TRIGGER zzz_booking_automation_on_move BEFORE UPDATE ON public.bookings
    FOR EACH ROW WHEN (OLD.scheduled_at IS DISTINCT FROM NEW.scheduled_at)
    EXECUTE FUNCTION public.booking_automation_on_move();
