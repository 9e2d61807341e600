-- Before a process claims a page of messages, it announces that (src/delivery/claim_mark.rs). A claim deletes its mark
-- in its own transaction, so a mark that stays was left by a process that ended while it read its page.
CREATE TABLE IF NOT EXISTS public.booking_automation_claim_marks (
    id          uuid PRIMARY KEY,       -- of the delivery
    channel     text NOT NULL,
    messages    bigint NOT NULL,        -- of the page, at most
    event_id    uuid,                   -- the page is this message alone,
    event_claim bigint,                 -- with this number of its last claim
    deaths      integer NOT NULL,       -- how many processes ended over this message alone
    begun_at    timestamptz NOT NULL
);
SELECT public.booking_automation_make_private('public.booking_automation_claim_marks'::regclass);
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, UPDATE, DELETE ON public.booking_automation_claim_marks');

-- What triggers and passes read for each row of theirs stays short.
UPDATE public.reminder_rules SET channels = ARRAY(SELECT DISTINCT unnest(channels)) WHERE cardinality(channels) > 16;
ALTER TABLE public.reminder_rules
    DROP CONSTRAINT IF EXISTS reminder_rules_few_channels,
    ADD CONSTRAINT reminder_rules_few_channels CHECK (cardinality(channels) <= 16);
UPDATE public.booking_automation_webhooks SET kinds = ARRAY(SELECT DISTINCT unnest(kinds)) WHERE cardinality(kinds) > 16;
ALTER TABLE public.booking_automation_webhooks
    DROP CONSTRAINT IF EXISTS booking_automation_webhooks_few_kinds,
    ADD CONSTRAINT booking_automation_webhooks_few_kinds CHECK (cardinality(kinds) <= 16);
