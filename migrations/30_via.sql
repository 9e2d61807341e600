-- The channel in use, where a message has gone on to a later one of its chain (docs/channels.md); NULL: the first one of
-- `channel`. The index of what can be claimed needs it (src/database/schema.rs, INDEXES).
ALTER TABLE public.booking_automation_events ADD COLUMN IF NOT EXISTS via text;
