-- Outgoing webhooks: subscriptions, and messages as rows of the outbox. Every recorded change is reported, by any
-- program: triggers write the messages inside the statement that makes the change. So they are set-based, never wait
-- for our locks, and are SECURITY DEFINER with a fixed search_path. Without a subscription, each trigger costs one
-- probe of an empty index.

-- One row for each subscription, written by hand or by a program of the user.
CREATE TABLE IF NOT EXISTS public.booking_automation_webhooks (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    url           text NOT NULL CHECK (length(url) <= 2000 AND url ~ '^https?://[^\s/?#@\\]+([/?][^\s#\\]*)?$'), -- no user or password
    kinds         text[] NOT NULL CHECK (cardinality(kinds) > 0 AND kinds <@ ARRAY[
                      'started', 'completed', 'expired', 'cancelled', 'rescheduled', 'reminder_sent']),
    -- A Standard Webhooks secret: 24 to 64 bytes, in canonical base64.
    secret        text NOT NULL CHECK (CASE
                      WHEN secret ~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
                      THEN octet_length(decode(substr(secret, 7), 'base64')) BETWEEN 24 AND 64
                           AND translate(encode(decode(substr(secret, 7), 'base64'), 'base64'), E'\n', '') = substr(secret, 7)
                      ELSE false END),
    is_active     boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    failing_since timestamptz, -- nothing was accepted since then
    suspended_at  timestamptz  -- it failed for too long, or answered 410; NULL: it gets messages
);
CREATE INDEX IF NOT EXISTS booking_automation_webhooks_live
    ON public.booking_automation_webhooks (id) WHERE is_active AND suspended_at IS NULL;
SELECT public.booking_automation_make_private('public.booking_automation_webhooks'::regclass);

-- A message is a row of the outbox: `rule` is its kind, and `audience` the subscription. `message_id` identifies what
-- it reports: receivers see this id, the same for all subscriptions; it is the event's own id if there is an event.
-- `event_data` is its body, without names or addresses.
