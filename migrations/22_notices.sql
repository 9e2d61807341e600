-- Notices: messages about what happened to a booking. Triggers queue one for each event and rule, in the transaction of
-- the event; a pass puts those that are due into the outbox. Without an active rule, a trigger costs one probe.

-- The rules. The owner switches them on.
CREATE TABLE IF NOT EXISTS public.booking_automation_notice_rules (
    -- Reminders of the other names have flags on `bookings`, which are about reminders alone.
    name           text        NOT NULL CHECK (name <> '' AND name NOT IN ('24h', '1h', '15m')),
    on_event       text        NOT NULL CHECK (on_event IN ('confirmed', 'rescheduled', 'cancelled', 'expired', 'completed')),
    -- From the event to the notice. No months, which have no fixed length.
    delay          interval    NOT NULL DEFAULT '0' CHECK (delay >= interval '0' AND delay <= interval '60 days'
                                                           AND extract(year FROM delay) = 0 AND extract(month FROM delay) = 0),
    audience       text        NOT NULL DEFAULT 'customer' CHECK (audience IN ('customer', 'provider')),
    channels       text[]      NOT NULL DEFAULT '{email}' CHECK (channels <@ ARRAY['email'] AND cardinality(channels) <= 16),
    active         boolean     NOT NULL DEFAULT false,
    effective_from timestamptz NOT NULL DEFAULT now(), -- earlier events are ignored
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, audience)
);
INSERT INTO public.booking_automation_notice_rules (name, on_event, delay, audience) VALUES
    ('confirmed',   'confirmed',   '0',       'customer'),
    ('confirmed',   'confirmed',   '0',       'provider'),
    ('rescheduled', 'rescheduled', '0',       'customer'),
    ('rescheduled', 'rescheduled', '0',       'provider'),
    ('cancelled',   'cancelled',   '0',       'customer'),
    ('cancelled',   'cancelled',   '0',       'provider'),
    ('expired',     'expired',     '0',       'customer'),
    ('follow-up',   'completed',   '2 hours', 'customer')
    ON CONFLICT DO NOTHING;

-- Notices that no pass has decided on. Other programs only insert, by the triggers; passes and the support API take
-- and change rows, so no writer ever conflicts with them.
CREATE TABLE IF NOT EXISTS public.booking_automation_notices (
    seq          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     uuid        NOT NULL, -- in the trail; a booking that was inserted as confirmed has no such event
    booking_id   uuid        NOT NULL,
    on_event     text        NOT NULL,
    rule         text        NOT NULL,
    audience     text        NOT NULL,
    happened_at  timestamptz NOT NULL, -- the event; of an automatic step, when it was due
    due_at       timestamptz NOT NULL,
    is_automatic boolean     NOT NULL, -- the event is a step of the automation's
    queued_at    timestamptz NOT NULL,
    transaction  xid8        NOT NULL DEFAULT pg_current_xact_id(),
    held_since   timestamptz,          -- one of too many from one transaction: it waits for a person's decision,
    decided_at   timestamptz,          -- which was made then:
    is_dropped   boolean     NOT NULL DEFAULT false -- to send it, or not
);
CREATE INDEX IF NOT EXISTS booking_automation_notices_due
    ON public.booking_automation_notices (due_at, seq) WHERE held_since IS NULL AND decided_at IS NULL;
CREATE INDEX IF NOT EXISTS booking_automation_notices_decided
    ON public.booking_automation_notices (decided_at, seq) WHERE held_since IS NULL AND decided_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS booking_automation_notices_of_transaction
    ON public.booking_automation_notices (transaction, on_event, rule, audience, held_since, decided_at);
CREATE INDEX IF NOT EXISTS booking_automation_notices_held
    ON public.booking_automation_notices (transaction, on_event) WHERE held_since IS NOT NULL;
CREATE INDEX IF NOT EXISTS booking_automation_notices_booking ON public.booking_automation_notices (booking_id);
-- Mostly empty. A pass looks into it every minute.
ALTER TABLE public.booking_automation_notices SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);

SELECT public.booking_automation_make_private(relation)
  FROM unnest(ARRAY['public.booking_automation_notice_rules', 'public.booking_automation_notices']::regclass[]) AS relation;
SELECT public.booking_automation_grant_to_passes('SELECT ON public.booking_automation_notice_rules');
SELECT public.booking_automation_grant_to_passes('SELECT, UPDATE, DELETE ON public.booking_automation_notices');
