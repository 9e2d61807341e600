-- Other recipients of a message, beside the first: the contacts view's `recipient` (docs/install.md). It is part of the key
-- of their messages; '' is the first recipient.
ALTER TABLE public.booking_automation_events ADD COLUMN IF NOT EXISTS recipient text NOT NULL DEFAULT '';
