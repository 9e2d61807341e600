-- What a notice is about: an event of the trail. The key of notices needs it (src/database/schema.rs, INDEXES).
ALTER TABLE public.booking_automation_events ADD COLUMN IF NOT EXISTS about uuid;
-- Whose digest it is, and of which day of theirs: its key. A digest belongs to no booking; its booking_id is
-- 00000000-0000-0000-0000-000000000000. And to which person the message to a guest went.
ALTER TABLE public.booking_automation_events
    ADD COLUMN IF NOT EXISTS person_id uuid,
    ADD COLUMN IF NOT EXISTS local_day date;
