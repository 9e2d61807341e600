-- The history of each booking, written by a trigger of the test: the evaluation uses it and not the program's own
-- records.
CREATE TABLE chaos_history (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id uuid NOT NULL,
    operation  text NOT NULL,
    ours       boolean NOT NULL DEFAULT (current_setting('application_name') LIKE 'booking-automation%'),
    old_status text, new_status text,
    old_start  timestamptz, new_start timestamptz,
    old_blocked boolean, new_blocked boolean,
    ends_at    timestamptz,
    email      text,
    person_id  text,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    as_of      timestamptz NOT NULL DEFAULT transaction_timestamp()
);
CREATE INDEX ON chaos_history (booking_id, seq);
CREATE FUNCTION chaos_history() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR NEW.status IS DISTINCT FROM OLD.status OR NEW.scheduled_at IS DISTINCT FROM OLD.scheduled_at
        OR NEW.auto_complete_blocked IS DISTINCT FROM OLD.auto_complete_blocked THEN
        INSERT INTO public.chaos_history
               (booking_id, operation, old_status, new_status, old_start, new_start, old_blocked, new_blocked, ends_at, email, person_id)
        VALUES (coalesce(NEW.id, OLD.id), TG_OP, OLD.status, NEW.status, OLD.scheduled_at, NEW.scheduled_at,
                OLD.auto_complete_blocked, NEW.auto_complete_blocked,
                NEW.scheduled_at + NEW.duration_minutes * interval '1 minute',
                (SELECT u.email FROM public.users u WHERE u.id = NEW.customer_id), NEW.customer_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER chaos_history AFTER INSERT OR UPDATE OR DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION chaos_history();

-- The bookings that the other client locks or changes in a transaction of less than a second.
CREATE TABLE chaos_locked (booking_id uuid NOT NULL, since timestamptz NOT NULL DEFAULT now(),
                           until timestamptz NOT NULL DEFAULT now() + interval '10 seconds');

-- A step of two in a hundred bookings is refused once, with any SQLSTATE.
CREATE FUNCTION chaos_is_bad(id uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT left(id::text, 2) < '05' $$;
CREATE FUNCTION chaos_raise() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    states text[] := '{$states}';
BEGIN
    RAISE EXCEPTION 'refused by the test' USING ERRCODE = states[1 + floor(random() * cardinality(states))::integer];
END
$$;
CREATE FUNCTION chaos_refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.booking_automation_events
                    WHERE booking_id = NEW.id AND event_type = 'status_update' AND status = 'failed') THEN
        PERFORM public.chaos_raise();
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER chaos_refuse BEFORE UPDATE ON bookings FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status AND current_setting('application_name') LIKE 'booking-automation%' AND chaos_is_bad(NEW.id))
    EXECUTE FUNCTION chaos_refuse();

-- Every second time, the view cannot be read for some people.
CREATE FUNCTION chaos_contact(address text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF address LIKE 'failing-%' AND random() < 0.5 THEN
        PERFORM public.chaos_raise();
    END IF;
    RETURN address;
END
$$;
-- One booking of eight has a guest, whom the view always knows.
CREATE FUNCTION chaos_has_guest(id uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT right(id::text, 1) < '2' $$;
DO $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS
        SELECT booking_id, audience, who.email, name, timezone, language, service, with_name, place, meeting_link, is_online,
               place_timezone, who.recipient
          FROM (' || rtrim(pg_get_viewdef('booking_automation_contacts'), ';') || ') AS shipped
         CROSS JOIN LATERAL (
               SELECT public.chaos_contact(shipped.email) AS email, NULL::text AS recipient
               UNION ALL
               SELECT ''guest-'' || booking_id || ''@guests.example'', ''guest''
                WHERE audience = ''customer'' AND public.chaos_has_guest(booking_id)) AS who';
END
$$;

-- Who wants no reminders, and since when: the other client writes it.
CREATE TABLE chaos_choices (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id text NOT NULL,
    wanted    boolean NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION chaos_choices() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.chaos_choices (person_id, wanted) VALUES (coalesce(NEW.person_id, OLD.person_id), TG_OP = 'DELETE');
    RETURN NULL;
END
$$;
CREATE TRIGGER chaos_choices AFTER INSERT OR DELETE ON booking_automation_opt_outs FOR EACH ROW EXECUTE FUNCTION chaos_choices();
GRANT SELECT, INSERT, DELETE ON booking_automation_opt_outs TO PUBLIC;

-- By what people can be reached: the other client writes it, and changes nothing of it later.
CREATE TABLE chaos_reach (person_id text PRIMARY KEY, phone text, agreed boolean NOT NULL, devices text[] NOT NULL);
GRANT INSERT ON chaos_reach TO PUBLIC;
GRANT SELECT, INSERT ON booking_automation_preferences, booking_automation_push_tokens TO PUBLIC;

-- The requests at the endpoints of mail, SMS and push messages, one row for each booking that a mail lists. The tag is the
-- event that leads.
CREATE TABLE chaos_requests (number int, leader uuid, event_id uuid, booking_id uuid, at timestamptz, taken boolean, answer text, life text,
                             stopped boolean, channel text, target text, PRIMARY KEY (number, booking_id));
-- The calls at the webhooks' endpoint.
CREATE TABLE chaos_calls (subscription text, message_id text, taken boolean, answer text);

-- Which instance claimed each message, and which one recorded the outcome.
CREATE TABLE chaos_claims (
    seq        bigint GENERATED ALWAYS AS IDENTITY,
    event_id   uuid NOT NULL,
    leader     uuid NOT NULL, -- the event in whose mail it leaves
    old_status text, new_status text,
    old_claim  bigint, new_claim bigint,
    channel    text NOT NULL, -- the one in use
    moved      text,          -- why the last earlier one of the chain was left
    life       text NOT NULL DEFAULT current_setting('application_name'),
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX chaos_claims_event ON chaos_claims (event_id, seq);
CREATE FUNCTION chaos_claims() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.chaos_claims (event_id, leader, old_status, new_status, old_claim, new_claim, channel, moved)
    VALUES (NEW.id, coalesce(NEW.led_by, NEW.id), OLD.status, NEW.status, OLD.claim, NEW.claim,
            coalesce(NEW.via, split_part(NEW.channel, '>', 1)), NEW.event_data -> 'chain' -> -1 ->> 'reason');
    RETURN NULL;
END
$$;
CREATE TRIGGER chaos_claims AFTER UPDATE ON booking_automation_events FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.claim <> NEW.claim) EXECUTE FUNCTION chaos_claims();

-- Rules of the test: one whose reminders are due and over within the run, and one for the provider.
INSERT INTO reminder_rules (name, audience, lead) VALUES ('soon', 'customer', '40 seconds'), ('15m', 'provider', '15 minutes');
-- Chains, and messages beside each other. Another chain makes a rule start anew: its time is set afterwards.
UPDATE reminder_rules r SET channels = c.channels
  FROM (VALUES ('24h', '{email>sms}'::text[]), ('1h', '{push>sms>email}'), ('15m', '{sms>email}'), ('soon', '{push,email}'))
       AS c (name, channels)
 WHERE r.name = c.name AND r.audience = 'customer';
UPDATE reminder_rules SET effective_from = '2020-01-01', group_within = '12 hours';
UPDATE booking_automation_notice_rules SET active = true, channels = '{push>email}'
 WHERE name IN ('cancelled', 'rescheduled') AND audience = 'customer';
