-- A function of the owner's says which bookings are live (src/database/owner_functions.rs). The automation never changes
-- the others. So that a pass does not read them every minute, the hourly sweep records up to where they lie.

-- A mark for each status: when the sweep looked, the automation could change no booking of this status before this time
-- (its start, or of those in progress its end). Only with many bookings before it; otherwise there is no row.
CREATE TABLE IF NOT EXISTS public.booking_automation_not_live (
    status    text PRIMARY KEY,
    before    timestamptz NOT NULL,
    looked_at timestamptz NOT NULL
);
SELECT public.booking_automation_make_private('public.booking_automation_not_live'::regclass);
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, UPDATE, DELETE ON public.booking_automation_not_live');
