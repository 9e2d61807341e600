-- The audit trail cannot be rewritten: what is over refuses to be changed or deleted, whoever tries. Retention and the
-- forgetting of a person may, in a transaction that says so in a row of its own, which cannot be taken back, either.

CREATE TABLE IF NOT EXISTS booking_automation_erasures (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL CHECK (kind IN ('retention', 'person')),
    day         date        NOT NULL,           -- in UTC; retention has one row a day
    person_id   uuid,                           -- whose messages were forgotten
    events      bigint      NOT NULL DEFAULT 0, -- how many were deleted, or forgotten
    at          timestamptz NOT NULL,
    transaction xid8        NOT NULL            -- the latest that may erase under this row
);
CREATE UNIQUE INDEX IF NOT EXISTS booking_automation_erasures_retention
    ON booking_automation_erasures (day) WHERE kind = 'retention';
CREATE INDEX IF NOT EXISTS booking_automation_erasures_transaction ON booking_automation_erasures (transaction);
SELECT booking_automation_make_private('booking_automation_erasures');

-- Fired for finished events only. SECURITY DEFINER: whoever writes may have no rights on the other table.
CREATE OR REPLACE FUNCTION booking_automation_keep_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    -- The provider says that it took a message which was given up.
    IF TG_OP = 'UPDATE' AND OLD.status = 'failed' AND NEW.status = 'completed' AND OLD.event_type = 'reminder_sent'
       AND (NEW.event_data -> 'attempts' -> -1 ->> 'settled_by')::boolean
       AND NEW.event_data #- '{attempts,-1}' = jsonb_set(coalesce(OLD.event_data, '{}'), '{attempts}', coalesce(OLD.event_data -> 'attempts', '[]'))
       AND (NEW.id, NEW.booking_id, NEW.event_type, NEW.scheduled_at, NEW.created_at, NEW.seq,
            NEW.rule, NEW.audience, NEW.channel, NEW.revision, NEW.starts_at, NEW.attempts)
           IS NOT DISTINCT FROM
           (OLD.id, OLD.booking_id, OLD.event_type, OLD.scheduled_at, OLD.created_at, OLD.seq,
            OLD.rule, OLD.audience, OLD.channel, OLD.revision, OLD.starts_at, OLD.attempts) THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT FROM public.booking_automation_erasures WHERE transaction = pg_current_xact_id()) THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'what happened to a booking is not changed: event % is over', OLD.id
          USING ERRCODE = 'restrict_violation',
                HINT = 'old events go by RETENTION; DELETE /people/{id}/messages forgets what was sent to a person';
END
$$;

CREATE OR REPLACE FUNCTION booking_automation_keep_table() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'what happened to bookings is not changed: % on % is refused', TG_OP, TG_TABLE_NAME
          USING ERRCODE = 'restrict_violation';
END
$$;
REVOKE EXECUTE ON FUNCTION booking_automation_keep_event(), booking_automation_keep_table() FROM PUBLIC;

CREATE TRIGGER booking_automation_keep_deleted BEFORE DELETE ON booking_automation_events
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'skipped'))
    EXECUTE FUNCTION booking_automation_keep_event();

-- Not for `flag_due`, which is no part of what happened, nor for why the flag could not be set.
CREATE TRIGGER booking_automation_keep_updated BEFORE UPDATE ON booking_automation_events
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'skipped') AND
        (NEW.id, NEW.booking_id, NEW.event_type, NEW.event_data - 'flag_error', NEW.scheduled_at, NEW.executed_at, NEW.status, NEW.error_message,
         NEW.created_at, NEW.seq, NEW.rule, NEW.audience, NEW.channel, NEW.revision, NEW.starts_at, NEW.attempts, NEW.claim,
         NEW.lease_until, NEW.next_attempt_at, NEW.reason, NEW.message_id)
        IS DISTINCT FROM
        (OLD.id, OLD.booking_id, OLD.event_type, OLD.event_data - 'flag_error', OLD.scheduled_at, OLD.executed_at, OLD.status, OLD.error_message,
         OLD.created_at, OLD.seq, OLD.rule, OLD.audience, OLD.channel, OLD.revision, OLD.starts_at, OLD.attempts, OLD.claim,
         OLD.lease_until, OLD.next_attempt_at, OLD.reason, OLD.message_id))
    EXECUTE FUNCTION booking_automation_keep_event();

CREATE TRIGGER booking_automation_keep_all BEFORE TRUNCATE ON booking_automation_events
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_keep_table();

-- An erasure's own row stays, and says when. That of the day's retention goes on counting; a person's learns its count in the
-- transaction that writes it.
CREATE OR REPLACE FUNCTION booking_automation_keep_erasure() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (
           (NEW.id, NEW.kind, NEW.day, NEW.person_id) IS DISTINCT FROM (OLD.id, OLD.kind, OLD.day, OLD.person_id)
           OR NEW.events < OLD.events
           OR OLD.transaction <> pg_current_xact_id()
              AND (OLD.kind <> 'retention' OR OLD.day <> (public.booking_automation_now() AT TIME ZONE 'UTC')::date)) THEN
        RAISE EXCEPTION 'what happened to bookings is not changed: nor is what was erased of it'
              USING ERRCODE = 'restrict_violation';
    END IF;
    NEW.at := public.booking_automation_now();
    NEW.day := (NEW.at AT TIME ZONE 'UTC')::date;
    NEW.transaction := pg_current_xact_id();
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION booking_automation_keep_erasure() FROM PUBLIC;
CREATE TRIGGER booking_automation_keep_erasure BEFORE INSERT OR UPDATE ON booking_automation_erasures
    FOR EACH ROW EXECUTE FUNCTION booking_automation_keep_erasure();
CREATE TRIGGER booking_automation_keep_erasures BEFORE DELETE OR TRUNCATE ON booking_automation_erasures
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_keep_table();
