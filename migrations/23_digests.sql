-- Digests: one message a day to a person, with the bookings of the coming day. They are rows of
-- booking_automation_events (notification_sent) that belong to no booking.

-- The rules. The owner switches them on.
CREATE TABLE IF NOT EXISTS public.booking_automation_digest_rules (
    -- Reminders of the other names have flags on `bookings`, which are about reminders alone.
    name           text        NOT NULL CHECK (name <> '' AND name NOT IN ('24h', '1h', '15m')),
    -- Of the person's clock. Before 12 the digest is of the same day, from 12 on of the next one.
    local_hour     integer     NOT NULL CHECK (local_hour BETWEEN 0 AND 23),
    audience       text        NOT NULL DEFAULT 'provider' CHECK (audience IN ('customer', 'provider')),
    channels       text[]      NOT NULL DEFAULT '{email}' CHECK (channels <@ ARRAY['email'] AND cardinality(channels) <= 16),
    active         boolean     NOT NULL DEFAULT false,
    effective_from timestamptz NOT NULL DEFAULT now(), -- hours that came before it are ignored
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, audience)
);
INSERT INTO public.booking_automation_digest_rules (name, local_hour, audience) VALUES
    ('daily', 7, 'provider'),
    ('daily', 7, 'customer')
    ON CONFLICT DO NOTHING;

-- Up to when passes have decided, and by which rules: one row.
CREATE TABLE IF NOT EXISTS public.booking_automation_digest_state (
    id             boolean     PRIMARY KEY DEFAULT true CHECK (id),
    looked_through timestamptz NOT NULL,
    rules_digest   text        NOT NULL
);
INSERT INTO public.booking_automation_digest_state (looked_through, rules_digest) VALUES ('-infinity', '') ON CONFLICT DO NOTHING;

SELECT public.booking_automation_make_private(relation)
  FROM unnest(ARRAY['public.booking_automation_digest_rules', 'public.booking_automation_digest_state']::regclass[]) AS relation;
SELECT public.booking_automation_grant_to_passes('SELECT ON public.booking_automation_digest_rules');
SELECT public.booking_automation_grant_to_passes('SELECT, UPDATE ON public.booking_automation_digest_state');
