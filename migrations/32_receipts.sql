-- Soft bounces, and the receipts of SMS (docs/why-reminded.md).

-- Of each transient bounce: the keyed digest of its address, so that several of them in a month are noticed.
CREATE TABLE IF NOT EXISTS public.booking_automation_soft_bounces (
    address_hash bytea       NOT NULL,
    message_id   text        NOT NULL, -- the provider's
    event_id     uuid        NOT NULL, -- of the message; no foreign key: each is pruned separately
    bounced_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (address_hash, message_id)
);
CREATE INDEX IF NOT EXISTS booking_automation_soft_bounces_time ON public.booking_automation_soft_bounces (bounced_at);
CREATE INDEX IF NOT EXISTS booking_automation_soft_bounces_event ON public.booking_automation_soft_bounces (event_id);
SELECT public.booking_automation_make_private('public.booking_automation_soft_bounces');
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, DELETE ON public.booking_automation_soft_bounces');

-- When the suppression ends; NULL: never. `reason`: bounced, complained, bounced_softly.
ALTER TABLE public.booking_automation_suppressions ADD COLUMN IF NOT EXISTS until timestamptz;
SELECT public.booking_automation_grant_to_passes('UPDATE ON public.booking_automation_suppressions');
