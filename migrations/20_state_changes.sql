-- Changes of booking_automation_state that a transaction of the owner's could not make: it is REPEATABLE READ or
-- SERIALIZABLE, and the automation has written the row since its snapshot. Its statement succeeds, because the trigger
-- inserts the change here, which conflicts with nothing. The next pass makes it.
CREATE TABLE IF NOT EXISTS public.booking_automation_state_changes (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id     uuid NOT NULL,
    in_force_since timestamptz, -- a new revision; NULL: none
    unblocked_at   timestamptz  -- auto_complete_blocked was removed; NULL: it was not
);
CREATE INDEX IF NOT EXISTS booking_automation_state_changes_booking ON public.booking_automation_state_changes (booking_id);
-- Mostly empty. A pass looks into it only where it has a page, which VACUUM takes away.
ALTER TABLE public.booking_automation_state_changes SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 0);
SELECT public.booking_automation_make_private('public.booking_automation_state_changes'::regclass);
SELECT public.booking_automation_grant_to_passes('SELECT, DELETE ON public.booking_automation_state_changes');
SELECT public.booking_automation_grant_to_passes('INSERT ON public.booking_automation_looks');
