-- The audit trail cannot be rewritten: triggers refuse every change to a finished event. Only retention and the erasure
-- of a person may change it, in a transaction that announces this in a row of its own, which cannot be removed, either.

CREATE TABLE IF NOT EXISTS public.booking_automation_erasures (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL CHECK (kind IN ('retention', 'person')),
    day         date        NOT NULL,           -- in UTC; retention has one row a day
    person_id   uuid,                           -- whose messages were erased
    events      bigint      NOT NULL DEFAULT 0, -- how many were deleted or erased
    at          timestamptz NOT NULL,
    transaction xid8        NOT NULL            -- the last transaction that may erase under this row
);
CREATE UNIQUE INDEX IF NOT EXISTS booking_automation_erasures_retention
    ON public.booking_automation_erasures (day) WHERE kind = 'retention';
CREATE INDEX IF NOT EXISTS booking_automation_erasures_transaction ON public.booking_automation_erasures (transaction);
SELECT public.booking_automation_make_private('public.booking_automation_erasures'::regclass);

CREATE TRIGGER booking_automation_keep_deleted BEFORE DELETE ON public.booking_automation_events
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'skipped'))
    EXECUTE FUNCTION public.booking_automation_keep_event();

-- Except `flag_due` and the reason why the flag could not be set, which are not part of the history.
CREATE TRIGGER booking_automation_keep_updated BEFORE UPDATE ON public.booking_automation_events
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'skipped') AND
        (NEW.id, NEW.booking_id, NEW.event_type, NEW.event_data - 'flag_error', NEW.scheduled_at, NEW.executed_at, NEW.status, NEW.error_message,
         NEW.created_at, NEW.seq, NEW.rule, NEW.audience, NEW.channel, NEW.revision, NEW.starts_at, NEW.attempts, NEW.claim,
         NEW.lease_until, NEW.next_attempt_at, NEW.reason, NEW.message_id)
        IS DISTINCT FROM
        (OLD.id, OLD.booking_id, OLD.event_type, OLD.event_data - 'flag_error', OLD.scheduled_at, OLD.executed_at, OLD.status, OLD.error_message,
         OLD.created_at, OLD.seq, OLD.rule, OLD.audience, OLD.channel, OLD.revision, OLD.starts_at, OLD.attempts, OLD.claim,
         OLD.lease_until, OLD.next_attempt_at, OLD.reason, OLD.message_id))
    EXECUTE FUNCTION public.booking_automation_keep_event();

CREATE TRIGGER booking_automation_keep_all BEFORE TRUNCATE ON public.booking_automation_events
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_keep_table();

CREATE TRIGGER booking_automation_keep_erasure BEFORE INSERT OR UPDATE ON public.booking_automation_erasures
    FOR EACH ROW EXECUTE FUNCTION public.booking_automation_keep_erasure();
CREATE TRIGGER booking_automation_keep_erasures BEFORE DELETE OR TRUNCATE ON public.booking_automation_erasures
    FOR EACH STATEMENT EXECUTE FUNCTION public.booking_automation_keep_table();
