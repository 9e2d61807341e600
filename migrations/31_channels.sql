-- SMS and push, and chains of channels (docs/channels.md).

-- A channel, or a chain of different ones: the next one is used where one cannot be.
DO $$
DECLARE
    chains CONSTANT text := $chains$channels <@ ARRAY[
    'push', 'sms', 'email', 'push>sms', 'push>email', 'sms>push', 'sms>email', 'email>push',
    'email>sms', 'push>sms>email', 'push>email>sms', 'sms>push>email', 'sms>email>push',
    'email>push>sms', 'email>sms>push']$chains$;
    rules record;
BEGIN
    FOR rules IN SELECT * FROM unnest(ARRAY['reminder_rules', 'booking_automation_notice_rules', 'booking_automation_digest_rules']) AS r (name) LOOP
        EXECUTE format('ALTER TABLE public.%1$I DROP CONSTRAINT IF EXISTS %2$I, ADD CONSTRAINT %2$I CHECK (cardinality(channels) <= 16 AND %3$s)',
                       rules.name, rules.name || '_channels_check', chains);
    END LOOP;
END
$$;
INSERT INTO public.booking_automation_channels (channel) VALUES ('sms'), ('push') ON CONFLICT DO NOTHING;

-- What people have chosen: a number in E.164, and whether they agreed to get SMS; NULL: the contacts view decides.
ALTER TABLE public.booking_automation_preferences
    ADD COLUMN IF NOT EXISTS phone text CHECK (phone ~ '^[+][1-9][0-9]{6,14}$'),
    ADD COLUMN IF NOT EXISTS sms_allowed boolean;

-- The devices of people that take push messages. Each token has one owner: a device that changes hands is the new one's.
CREATE TABLE IF NOT EXISTS public.booking_automation_push_tokens (
    token      text        COLLATE "C" PRIMARY KEY CHECK (octet_length(token) BETWEEN 1 AND 1024),
    person_id  text        COLLATE "C" NOT NULL CHECK (octet_length(person_id) BETWEEN 1 AND 400),
    seen_at    timestamptz NOT NULL DEFAULT now() -- when the app brought it the last time
);
CREATE INDEX IF NOT EXISTS booking_automation_push_tokens_person ON public.booking_automation_push_tokens (person_id, seen_at);

-- SMS that left, or may have left: for the limit of a person's messages in a day, and for answers to them. No number is
-- stored, only its keyed digest.
CREATE TABLE IF NOT EXISTS public.booking_automation_sms (
    event_id     uuid        PRIMARY KEY, -- of the message; no foreign key: each is pruned separately
    address_hash bytea       NOT NULL,
    claimed_at   timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS booking_automation_sms_address ON public.booking_automation_sms (address_hash, claimed_at);
CREATE INDEX IF NOT EXISTS booking_automation_sms_claimed ON public.booking_automation_sms (claimed_at);

SELECT public.booking_automation_make_private(relation)
  FROM unnest(ARRAY['public.booking_automation_push_tokens', 'public.booking_automation_sms']::regclass[]) AS relation;
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, UPDATE, DELETE ON ' || relation)
  FROM unnest(ARRAY['public.booking_automation_push_tokens', 'public.booking_automation_sms']) AS relation;
