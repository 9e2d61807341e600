-- The provider's events about a message after it accepted the message.
CREATE TABLE IF NOT EXISTS public.booking_automation_feedback (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid        NOT NULL, -- of the message; no foreign key: each is pruned separately
    booking_id  uuid        NOT NULL,
    kind        text        NOT NULL, -- sent, delivered, bounced, complained, rejected, delayed, rendering_failed
    message_id  text        NOT NULL, -- the provider's
    occurred_at timestamptz NOT NULL, -- the provider's clock
    details     jsonb       NOT NULL, -- no addresses
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- The provider may send the same event twice.
    UNIQUE (message_id, kind, occurred_at)
);
CREATE INDEX IF NOT EXISTS booking_automation_feedback_event ON public.booking_automation_feedback (event_id, id);
CREATE INDEX IF NOT EXISTS booking_automation_feedback_booking ON public.booking_automation_feedback (booking_id, id);

-- Suppressed addresses: no address is stored, only its keyed digest.
CREATE TABLE IF NOT EXISTS public.booking_automation_suppressions (
    address_hash bytea PRIMARY KEY,
    reason       text        NOT NULL, -- bounced, complained
    message_id   text        NOT NULL, -- the provider's id of the message that caused it
    created_at   timestamptz NOT NULL DEFAULT now()
);
-- The key of the digests, of 244 random bits, created once. In the form of HMAC (RFC 2104): padded to a block of
-- SHA-256, and combined with the two pads.
CREATE TABLE IF NOT EXISTS public.booking_automation_hash_key (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    inner_key bytea NOT NULL,
    outer_key bytea NOT NULL
);
INSERT INTO public.booking_automation_hash_key (inner_key, outer_key)
SELECT decode(string_agg(lpad(to_hex(byte # 54), 2, '0'), '' ORDER BY n), 'hex'), -- 0x36
       decode(string_agg(lpad(to_hex(byte # 92), 2, '0'), '' ORDER BY n), 'hex')  -- 0x5c
  FROM (SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) AS key) AS made
 CROSS JOIN LATERAL (SELECT n, CASE WHEN n < 32 THEN get_byte(key, n) ELSE 0 END AS byte FROM generate_series(0, 63) AS n) AS bytes
    ON CONFLICT DO NOTHING;

SELECT public.booking_automation_make_private(relation)
  FROM unnest(ARRAY['public.booking_automation_feedback', 'public.booking_automation_suppressions', 'public.booking_automation_hash_key']::regclass[]) AS relation;
