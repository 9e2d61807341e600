-- What we learn of other programs' writes. The functions (schema/functions/) run inside *their* statements, so: set-based, no
-- wait for anything of ours, and SECURITY DEFINER with a fixed search_path, since the writer has no rights on our tables. The
-- indexes on `bookings` exist by now.

DROP TRIGGER IF EXISTS booking_automation_on_update ON bookings;
CREATE TRIGGER booking_automation_on_update AFTER UPDATE ON bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_on_update();

DROP TRIGGER IF EXISTS booking_automation_on_insert ON bookings;
CREATE TRIGGER booking_automation_on_insert AFTER INSERT ON bookings
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_on_insert();

-- Triggers of one kind fire by name: this one is last, and sees the start as their triggers leave it.
DROP TRIGGER IF EXISTS zzz_booking_automation_on_move ON bookings;
CREATE TRIGGER zzz_booking_automation_on_move BEFORE UPDATE ON bookings
    FOR EACH ROW WHEN (OLD.scheduled_at IS DISTINCT FROM NEW.scheduled_at)
    EXECUTE FUNCTION booking_automation_on_move();
