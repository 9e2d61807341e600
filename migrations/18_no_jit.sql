-- What runs inside other programs' statements is never compiled. A plan that `enable_nestloop = off` forbids and that has no
-- alternative counts as very dear, and so the server would compile it: for a quarter of a second, in each UPDATE of theirs.
ALTER FUNCTION booking_automation_on_update() SET jit = off;
ALTER FUNCTION booking_automation_on_insert() SET jit = off;
ALTER FUNCTION booking_automation_on_move() SET jit = off;
ALTER FUNCTION booking_automation_keep_event() SET jit = off;
ALTER FUNCTION booking_automation_tell_of_events() SET jit = off;
ALTER FUNCTION booking_automation_tell_of_moves() SET jit = off;
