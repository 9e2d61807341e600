-- Replies to SMS (docs/channels.md): no text and no number is stored, only the keyed digest of the number.
CREATE TABLE IF NOT EXISTS public.booking_automation_sms_replies (
    inbound_id   text        COLLATE "C" PRIMARY KEY, -- the provider's: a reply may arrive twice
    event_id     uuid        NOT NULL, -- the message that it answers; no foreign key: each is pruned separately
    address_hash bytea       NOT NULL,
    meaning      text        NOT NULL, -- attends, cannot_attend, opted_out, opted_in, other
    answer       text,                 -- what was sent back: link, contact; NULL: nothing
    answer_id    uuid,                 -- its row in booking_automation_sms
    said_at      timestamptz NOT NULL, -- when the topic got it: replies may arrive in any order
    received_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS booking_automation_sms_replies_address
    ON public.booking_automation_sms_replies (address_hash, received_at);
CREATE INDEX IF NOT EXISTS booking_automation_sms_replies_event ON public.booking_automation_sms_replies (event_id);
CREATE INDEX IF NOT EXISTS booking_automation_sms_replies_received ON public.booking_automation_sms_replies (received_at);
SELECT public.booking_automation_make_private('public.booking_automation_sms_replies');
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, UPDATE, DELETE ON public.booking_automation_sms_replies');
