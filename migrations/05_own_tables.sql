-- Our own tables, and the functions that they and the indexes use. Nothing here changes or locks other tables.

-- Default privileges (Supabase sets some) would let other roles read and change what is created here, and a view
-- bypasses the row-level security of its tables. So only the owner has privileges on what we create, until the owner
-- grants more.
CREATE OR REPLACE FUNCTION public.booking_automation_make_private(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role
          FROM pg_class c, aclexplode(c.relacl) AS a
         WHERE c.oid = relation AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', relation, granted.role);
    END LOOP;
END
$$;

-- The outbox and the audit trail in one table: one row for each status change, one for each reminder.
SELECT set_config('booking_automation.events_are_new', (to_regclass('public.booking_automation_events') IS NULL)::text, true);
CREATE TABLE IF NOT EXISTS public.booking_automation_events (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    booking_id    uuid NOT NULL,                     -- no foreign key: the trail outlives the booking
    event_type    text NOT NULL,                     -- status_update, reminder_sent, notification_sent
    event_data    jsonb,
    scheduled_at  timestamptz,                       -- when it was due
    executed_at   timestamptz DEFAULT now(),         -- when it happened
    status        text NOT NULL DEFAULT 'completed', -- pending, sending, completed, failed, skipped
    error_message text,
    created_at    timestamptz DEFAULT now()
);
DO $$
DECLARE
    key name;
BEGIN
    SELECT conname INTO key FROM pg_constraint
     WHERE conrelid = 'public.booking_automation_events'::regclass AND contype = 'f';
    IF FOUND THEN
        RAISE EXCEPTION 'booking_automation_events has the foreign key %: deleting a user would fail on it', key
              USING HINT = format('run: ALTER TABLE public.booking_automation_events DROP CONSTRAINT %I;', key);
    END IF;
END
$$;
ALTER TABLE public.booking_automation_events
    ADD COLUMN IF NOT EXISTS seq             bigint  GENERATED ALWAYS AS IDENTITY, -- the order of the rows
    ADD COLUMN IF NOT EXISTS rule            text    NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS audience        text    NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS channel         text    NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS revision        integer NOT NULL DEFAULT 0, -- of the booking's schedule
    ADD COLUMN IF NOT EXISTS starts_at       timestamptz,                -- the booking's start at that time
    ADD COLUMN IF NOT EXISTS attempts        integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS claim           bigint  NOT NULL DEFAULT 0, -- fencing token: only grows
    ADD COLUMN IF NOT EXISTS lease_until     timestamptz,
    ADD COLUMN IF NOT EXISTS next_attempt_at timestamptz,
    ADD COLUMN IF NOT EXISTS reason          text,
    ADD COLUMN IF NOT EXISTS message_id      text,                       -- the provider's
    ADD COLUMN IF NOT EXISTS flag_due        boolean NOT NULL DEFAULT false; -- bookings.reminder_*_sent is behind

-- The guarantee: one decision per booking, schedule revision, rule, audience and channel.
CREATE UNIQUE INDEX IF NOT EXISTS booking_automation_events_reminder_key
    ON public.booking_automation_events (booking_id, revision, rule, audience, channel)
    WHERE event_type = 'reminder_sent' AND rule <> ''; -- not for rows from before the installation
-- What can be claimed, most urgent start first. Holds only unfinished rows.
CREATE INDEX IF NOT EXISTS booking_automation_events_claimable
    ON public.booking_automation_events (starts_at, seq)
    WHERE status IN ('pending', 'sending') AND next_attempt_at IS NOT NULL;
-- Events whose flag on `bookings` is still to be set.
CREATE INDEX IF NOT EXISTS booking_automation_events_flag_due
    ON public.booking_automation_events (seq)
    WHERE flag_due;
-- Status changes that the database refused; the bookings are skipped for a while.
CREATE INDEX IF NOT EXISTS booking_automation_events_refused
    ON public.booking_automation_events (booking_id, next_attempt_at)
    WHERE event_type = 'status_update' AND status = 'failed';
-- One booking's history, in order.
CREATE INDEX IF NOT EXISTS booking_automation_events_booking
    ON public.booking_automation_events (booking_id, seq);

-- The reminder rules. Leads have no months, which have no fixed length.
CREATE TABLE IF NOT EXISTS public.reminder_rules (
    name           text        NOT NULL,
    audience       text        NOT NULL DEFAULT 'customer' CHECK (audience IN ('customer', 'provider')),
    lead           interval    NOT NULL CHECK (lead > interval '0' AND lead <= interval '60 days'
                                               AND extract(year FROM lead) = 0 AND extract(month FROM lead) = 0),
    channels       text[]      NOT NULL DEFAULT '{email}' CHECK (channels <@ ARRAY['email']),
    active         boolean     NOT NULL DEFAULT true,
    effective_from timestamptz NOT NULL DEFAULT now(), -- earlier due times are ignored
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, audience)
);
INSERT INTO public.reminder_rules (name, lead) VALUES ('24h', '24 hours'), ('1h', '1 hour'), ('15m', '15 minutes')
    ON CONFLICT DO NOTHING;

-- State per booking. No row: nothing has happened to it since the installation.
CREATE TABLE IF NOT EXISTS public.booking_automation_state (
    booking_id     uuid PRIMARY KEY,
    revision       integer NOT NULL, -- how often it came into force or its start changed
    starts_at      timestamptz,      -- the start at that time
    in_force_since timestamptz,      -- NULL: since bookings.created_at
    unblocked_at   timestamptz,      -- when auto_complete_blocked was last removed
    blocked_reason text              -- an automatic step was undone; valid while auto_complete_blocked is set
);

-- The recheck queue: bookings to check again, whatever their due times, since each came into force or was moved.
-- Writers only insert and only the pass deletes, so a writer never conflicts with the pass, neither by waiting nor, in
-- a REPEATABLE READ transaction, by a serialization failure.
CREATE TABLE IF NOT EXISTS public.booking_automation_looks (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id uuid NOT NULL
);

-- When each channel's next message may leave: the send rate of all instances together.
CREATE TABLE IF NOT EXISTS public.booking_automation_channels (
    channel text PRIMARY KEY,
    next_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO public.booking_automation_channels (channel) VALUES ('email') ON CONFLICT DO NOTHING;

-- One row for each pass that ran or failed.
CREATE TABLE IF NOT EXISTS public.automation_runs (
    id             uuid PRIMARY KEY,
    trigger        text NOT NULL,          -- schedule, bearer, signature, cli
    scheduled_time text,                   -- from the scheduler: recorded only
    execution_id   text,
    attempt        text,
    as_of          timestamptz NOT NULL,
    outcome        text NOT NULL CHECK (outcome IN ('completed', 'failed')),
    summary        jsonb,
    error          text,
    looked_through timestamptz,            -- due times up to here have their decisions
    rules_digest   text,                   -- of the rules used for them
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS automation_runs_completed ON public.automation_runs (as_of DESC) WHERE outcome = 'completed';
CREATE INDEX IF NOT EXISTS automation_runs_created_at ON public.automation_runs (created_at);

SELECT public.booking_automation_make_private(relation)
  FROM unnest(ARRAY['public.reminder_rules', 'public.booking_automation_state', 'public.booking_automation_looks',
                    'public.booking_automation_channels', 'public.automation_runs', 'public.booking_automation_migrations']::regclass[]) AS relation;
SELECT public.booking_automation_make_private('public.booking_automation_events'::regclass)
 WHERE current_setting('booking_automation.events_are_new')::boolean;
