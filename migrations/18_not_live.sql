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

-- How far the sweep came that is under way; without one there is no row. It examines the bookings in the order of their
-- starts, a part in each transaction, so that a large table is examined over several calls.
CREATE TABLE IF NOT EXISTS public.booking_automation_sweep (
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
    starts_at  timestamptz NOT NULL, -- with booking_id: up to here, bookings have been examined
    booking_id uuid        NOT NULL,
    size       bigint      NOT NULL CHECK (size > 0) -- bookings of the next part
);
SELECT public.booking_automation_make_private('public.booking_automation_sweep'::regclass);
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, UPDATE, DELETE ON public.booking_automation_sweep');
