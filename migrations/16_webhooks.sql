-- Webhooks out: who wants to be told of what, and the messages to them, as rows of the outbox. Everything is told that is
-- recorded, whoever did it: the messages are written by triggers, inside the statement that made them necessary, so: set-based,
-- no wait for anything of ours, and SECURITY DEFINER with a fixed search_path. Without a subscription each of them costs one
-- look at an empty index.

-- A row a subscription: data, written by hand or by a program of the user's.
CREATE TABLE IF NOT EXISTS booking_automation_webhooks (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    url           text NOT NULL CHECK (length(url) <= 2000 AND url ~ '^https?://[^\s/?#@\\]+([/?][^\s#\\]*)?$'), -- no user in it
    kinds         text[] NOT NULL CHECK (cardinality(kinds) > 0 AND kinds <@ ARRAY[
                      'started', 'completed', 'expired', 'cancelled', 'rescheduled', 'reminder_sent']),
    -- Of Standard Webhooks: 24 to 64 bytes, written as an encoder writes them.
    secret        text NOT NULL CHECK (CASE
                      WHEN secret ~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
                      THEN octet_length(decode(substr(secret, 7), 'base64')) BETWEEN 24 AND 64
                           AND translate(encode(decode(substr(secret, 7), 'base64'), 'base64'), E'\n', '') = substr(secret, 7)
                      ELSE false END),
    is_active     boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    failing_since timestamptz, -- nothing was taken since then
    suspended_at  timestamptz  -- it failed for too long, or said that it is gone; NULL: it is told again
);
CREATE INDEX IF NOT EXISTS booking_automation_webhooks_live
    ON booking_automation_webhooks (id) WHERE is_active AND suspended_at IS NULL;
SELECT booking_automation_make_private('booking_automation_webhooks');

-- One that is taken up again, or called elsewhere, has not failed yet.
CREATE OR REPLACE FUNCTION booking_automation_webhooks_begin_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.suspended_at IS NOT NULL AND NEW.suspended_at IS NULL OR NEW.is_active AND NOT OLD.is_active OR NEW.url <> OLD.url THEN
        NEW.failing_since := NULL;
    END IF;
    RETURN NEW;
END
$$;
DROP TRIGGER IF EXISTS booking_automation_webhooks_begin_anew ON booking_automation_webhooks;
CREATE TRIGGER booking_automation_webhooks_begin_anew BEFORE UPDATE ON booking_automation_webhooks
    FOR EACH ROW EXECUTE FUNCTION booking_automation_webhooks_begin_anew();

-- A time as other programs read it (RFC 3339), whatever the session's zone.
CREATE OR REPLACE FUNCTION booking_automation_rfc3339(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN isfinite(at) THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END
$$;

-- A message is a row of the outbox: `rule` is its kind, `audience` the subscription that it goes to, `message_id` what it tells
-- of: the id that the receiver sees, the same for all who are told, and the event's own where there is one.
-- `event_data` is its body: no names, no addresses.

-- After events were recorded: status changes when they are inserted, reminders when they become sent.
CREATE OR REPLACE FUNCTION booking_automation_tell_of_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off -- the plan of the session's first call is kept: see 07
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    IF TG_RELID <> 'public.booking_automation_events'::regclass THEN
        RAISE EXCEPTION 'this function is for booking_automation_events alone' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (SELECT FROM public.booking_automation_webhooks WHERE is_active AND suspended_at IS NULL) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- The messages themselves are inserted, too: no end of it without this.
        IF NOT EXISTS (SELECT FROM new_rows WHERE event_type = 'status_update' AND status = 'completed') THEN
            RETURN NULL;
        END IF;
        INSERT INTO public.booking_automation_events
               (booking_id, event_type, channel, rule, audience, message_id, event_data, scheduled_at, executed_at, status, next_attempt_at)
        SELECT n.booking_id, 'webhook', 'webhook', k.kind, w.id::text, n.id::text,
               jsonb_build_object('type', 'booking.' || k.kind, 'timestamp', public.booking_automation_rfc3339(n.executed_at),
                   'data', jsonb_build_object('booking_id', n.booking_id, 'from', n.event_data -> 'from', 'to', n.event_data -> 'to',
                       'by', n.event_data -> 'by')),
               n.executed_at, NULL, 'pending', clock_timestamp()
          FROM new_rows n
          JOIN (VALUES ('in_progress', 'started'), ('completed', 'completed'), ('expired', 'expired'), ('cancelled', 'cancelled'))
               AS k (status, kind) ON k.status = n.event_data ->> 'to'
          JOIN (SELECT id, unnest(kinds) AS kind FROM public.booking_automation_webhooks WHERE is_active AND suspended_at IS NULL)
               AS w ON w.kind = k.kind
         -- Not of a change that the database refused.
         WHERE n.event_type = 'status_update' AND n.status = 'completed'
         ORDER BY n.seq
        ON CONFLICT (message_id, audience) WHERE event_type = 'webhook' DO NOTHING;
    ELSE
        INSERT INTO public.booking_automation_events
               (booking_id, event_type, channel, rule, audience, message_id, event_data, scheduled_at, executed_at, status, next_attempt_at)
        SELECT n.booking_id, 'webhook', 'webhook', w.kind, w.id::text, n.id::text,
               jsonb_build_object('type', 'booking.reminder_sent', 'timestamp', public.booking_automation_rfc3339(n.executed_at),
                   'data', jsonb_build_object('booking_id', n.booking_id, 'rule', n.rule, 'audience', n.audience, 'channel', n.channel,
                       'starts_at', public.booking_automation_rfc3339(n.starts_at))),
               n.executed_at, NULL, 'pending', clock_timestamp()
          FROM new_rows n
          JOIN old_rows o ON o.id = n.id
          JOIN (SELECT id, unnest(kinds) AS kind FROM public.booking_automation_webhooks WHERE is_active AND suspended_at IS NULL)
               AS w ON w.kind = n.event_type
         WHERE n.event_type = 'reminder_sent' AND n.status = 'completed' AND o.status <> 'completed'
         ORDER BY n.seq
        ON CONFLICT (message_id, audience) WHERE event_type = 'webhook' DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

-- After bookings were moved that are not over.
CREATE OR REPLACE FUNCTION booking_automation_tell_of_moves() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    moment timestamptz := public.booking_automation_now();
    actor  text := coalesce(nullif(current_setting('booking_automation.actor', true), ''), session_user);
BEGIN
    IF TG_RELID <> 'public.bookings'::regclass THEN
        RAISE EXCEPTION 'this function is for bookings alone' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (SELECT FROM public.booking_automation_webhooks
                    WHERE is_active AND suspended_at IS NULL AND 'rescheduled' = ANY (kinds)) THEN
        RETURN NULL;
    END IF;
    WITH moved AS MATERIALIZED (
        -- No event speaks of it: it has an id of its own.
        SELECT n.id, gen_random_uuid() AS event_id, o.scheduled_at AS old_start, n.scheduled_at AS new_start
          FROM new_rows n
          JOIN old_rows o ON o.id = n.id
         WHERE o.scheduled_at IS DISTINCT FROM n.scheduled_at
           -- A trigger of theirs may have moved it on: that inner statement has told of it before this outer one does.
           AND (SELECT b.scheduled_at FROM public.bookings b WHERE b.id = n.id) IS NOT DISTINCT FROM n.scheduled_at
           AND n.status NOT IN ('completed', 'cancelled', 'rejected', 'refunded', 'failed', 'expired')
    )
    INSERT INTO public.booking_automation_events
           (booking_id, event_type, channel, rule, audience, message_id, event_data, scheduled_at, executed_at, status, next_attempt_at)
    SELECT m.id, 'webhook', 'webhook', 'rescheduled', w.id::text, m.event_id::text,
           jsonb_build_object('type', 'booking.rescheduled', 'timestamp', public.booking_automation_rfc3339(moment),
               'data', jsonb_build_object('booking_id', m.id, 'from', public.booking_automation_rfc3339(m.old_start),
                   'to', public.booking_automation_rfc3339(m.new_start), 'by', actor)),
           moment, NULL, 'pending', clock_timestamp()
      FROM moved m
      JOIN public.booking_automation_webhooks w ON w.is_active AND w.suspended_at IS NULL AND 'rescheduled' = ANY (w.kinds);
    RETURN NULL;
END
$$;

-- Nobody else attaches them to a table of their own, to write our tables with our rights.
REVOKE EXECUTE ON FUNCTION booking_automation_tell_of_events(), booking_automation_tell_of_moves() FROM PUBLIC;

-- `bookings` first: whoever writes there comes to our table from there, and the other order would be a deadlock with them.
DROP TRIGGER IF EXISTS booking_automation_tell_of_moves ON bookings;
CREATE TRIGGER booking_automation_tell_of_moves AFTER UPDATE ON bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_tell_of_moves();

DROP TRIGGER IF EXISTS booking_automation_tell_of_new_events ON booking_automation_events;
CREATE TRIGGER booking_automation_tell_of_new_events AFTER INSERT ON booking_automation_events
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_tell_of_events();

DROP TRIGGER IF EXISTS booking_automation_tell_of_sent_reminders ON booking_automation_events;
CREATE TRIGGER booking_automation_tell_of_sent_reminders AFTER UPDATE ON booking_automation_events
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_tell_of_events();
