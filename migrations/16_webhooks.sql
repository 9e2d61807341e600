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

DROP TRIGGER IF EXISTS booking_automation_webhooks_begin_anew ON booking_automation_webhooks;
CREATE TRIGGER booking_automation_webhooks_begin_anew BEFORE UPDATE ON booking_automation_webhooks
    FOR EACH ROW EXECUTE FUNCTION booking_automation_webhooks_begin_anew();

-- A message is a row of the outbox: `rule` is its kind, `audience` the subscription that it goes to, `message_id` what it tells
-- of: the id that the receiver sees, the same for all who are told, and the event's own where there is one.
-- `event_data` is its body: no names, no addresses.

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
