-- What a notice is about: an event of the trail. The key of notices needs it (src/database/schema.rs, INDEXES).
ALTER TABLE public.booking_automation_events ADD COLUMN IF NOT EXISTS about uuid;
