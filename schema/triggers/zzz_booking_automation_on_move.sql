-- Triggers of one kind fire in order of name: this one is last, and sees the start after the user's triggers.
CREATE TRIGGER zzz_booking_automation_on_move BEFORE UPDATE ON public.bookings
    FOR EACH ROW WHEN (OLD.scheduled_at IS DISTINCT FROM NEW.scheduled_at)
    EXECUTE FUNCTION public.booking_automation_on_move();
