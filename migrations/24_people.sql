-- What people decide about their messages, and the keys of the links by which they do it (docs/links.md).

-- The keys that sign links. The newest one signs. Delivery makes a new one when it is 90 days old, and deletes those that
-- are three years old: older links do not work any more. If there is none, delivery makes one.
CREATE TABLE IF NOT EXISTS public.booking_automation_link_keys (
    id         integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- each link names the key that signed it
    secret     bytea       NOT NULL CHECK (octet_length(secret) = 32), -- 244 random bits
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO public.booking_automation_link_keys (secret)
SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
 WHERE NOT EXISTS (SELECT FROM public.booking_automation_link_keys);

-- People are found by `person_id` of the contacts view, else by the booking's `customer_id` or `provider_id`, as text. Each
-- message is looked up; comparing bytes takes a fraction of the time of comparing as a language does.
-- What a person has chosen; NULL: the contacts view and the settings decide.
CREATE TABLE IF NOT EXISTS public.booking_automation_preferences (
    person_id   text        COLLATE "C" PRIMARY KEY CHECK (octet_length(person_id) BETWEEN 1 AND 400),
    language    text        CHECK (char_length(language) BETWEEN 1 AND 40),   -- a tag, such as `de`
    timezone    text        CHECK (char_length(timezone) BETWEEN 1 AND 100),  -- an IANA name
    quiet_from  time,
    quiet_until time,
    channels    text[]      CHECK (cardinality(channels) BETWEEN 1 AND 16),
    -- Older links do not work: everything about the person was erased then.
    links_from  timestamptz,
    -- Older addresses of the person's calendar do not work.
    calendar_from timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((quiet_from IS NULL) = (quiet_until IS NULL)),
    CHECK (quiet_from IS NULL OR timezone IS NOT NULL)
);
-- Each pass looks for quiet hours that begin.
CREATE INDEX IF NOT EXISTS booking_automation_preferences_quiet ON public.booking_automation_preferences (person_id)
    WHERE quiet_from IS NOT NULL;

-- The kinds of messages that a person does not want.
CREATE TABLE IF NOT EXISTS public.booking_automation_opt_outs (
    person_id  text        COLLATE "C" NOT NULL CHECK (octet_length(person_id) BETWEEN 1 AND 400),
    kind       text        COLLATE "C" NOT NULL CHECK (char_length(kind) BETWEEN 1 AND 40), -- a kind of message, such as `reminder`
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_id, kind)
);

SELECT public.booking_automation_make_private(relation)
  FROM unnest(ARRAY['public.booking_automation_link_keys', 'public.booking_automation_preferences',
                    'public.booking_automation_opt_outs']::regclass[]) AS relation;
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, DELETE ON public.booking_automation_link_keys');
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, UPDATE, DELETE ON ' || relation)
  FROM unnest(ARRAY['public.booking_automation_preferences', 'public.booking_automation_opt_outs']) AS relation;
