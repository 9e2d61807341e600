-- What we learn of other programs' writes. All of it runs inside *their* statements, so: set-based, no
-- wait for anything of ours, and SECURITY DEFINER with a fixed search_path, since the writer has no
-- rights on our tables. The indexes on `bookings` exist by now.

-- After an UPDATE: the audit trail, the schedule revision, and who needs another look.
CREATE OR REPLACE FUNCTION booking_automation_on_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- PL/pgSQL keeps the plan of the session's first call. Made for a one-row update, a nested loop over
-- two transition tables takes minutes on a bulk update; a hash join is right for both. A plan that is forbidden and has no
-- alternative counts as very dear, so dear that the server would compile it, in each statement of theirs.
SET enable_nestloop = off
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    moment    timestamptz := public.booking_automation_now();
    actor     text := nullif(current_setting('booking_automation.actor', true), '');
    automatic boolean := coalesce(actor = 'booking-automation', false);
    reason    text := nullif(current_setting('booking_automation.reason', true), '');
    refund    jsonb := nullif(current_setting('booking_automation.refund', true), '');
BEGIN
    IF TG_RELID <> 'public.bookings'::regclass THEN
        RAISE EXCEPTION 'this function is for bookings alone' USING ERRCODE = 'insufficient_privilege';
    END IF;
    WITH changed AS MATERIALIZED (
        -- Rows in which something that we watch changed: usually none.
        SELECT n.id, o.status AS old_status, n.status AS new_status, n.scheduled_at,
               CASE WHEN automatic THEN n.automation_logs -> -1 END AS log_entry,
               n.status = 'confirmed' AND (o.status IS DISTINCT FROM n.status
                                           OR o.scheduled_at IS DISTINCT FROM n.scheduled_at) AS armed,
               o.auto_complete_blocked IS TRUE AND n.auto_complete_blocked IS NOT TRUE AS unblocked
          FROM new_rows n
          JOIN old_rows o ON o.id = n.id
         WHERE o.status IS DISTINCT FROM n.status
            OR o.scheduled_at IS DISTINCT FROM n.scheduled_at
            OR o.auto_complete_blocked IS DISTINCT FROM n.auto_complete_blocked
    ), armed AS MATERIALIZED (
        -- With the start as it is now: a trigger of theirs may have moved it meanwhile, and its inner
        -- statement told us before this outer one does.
        SELECT id, coalesce((SELECT b.scheduled_at FROM public.bookings b WHERE b.id = changed.id), scheduled_at) AS scheduled_at
          FROM changed
         WHERE armed
    ), audited AS (
        -- Every status change, whoever made it.
        INSERT INTO public.booking_automation_events
               (booking_id, event_type, event_data, scheduled_at, executed_at, status)
        SELECT id, 'status_update',
               jsonb_strip_nulls(jsonb_build_object('from', old_status, 'to', new_status,
                   'by', coalesce(actor, session_user), 'reason', reason, 'run_id', log_entry ->> 'run_id',
                   -- Of this booking alone: a trigger of theirs may change others in the same transaction.
                   'refund', CASE WHEN new_status = 'cancelled' THEN refund -> id::text END)),
               coalesce((log_entry ->> 'due_at')::timestamptz, moment), moment, 'completed'
          FROM changed
         WHERE old_status IS DISTINCT FROM new_status
    ), remembered AS (
        -- A new schedule revision, or the moment a person took the block off.
        INSERT INTO public.booking_automation_state AS s
               (booking_id, revision, starts_at, in_force_since, unblocked_at)
        SELECT c.id, c.armed::integer, a.scheduled_at,
               CASE WHEN c.armed THEN moment END,
               CASE WHEN c.unblocked THEN moment END
          FROM changed c
          LEFT JOIN armed a ON a.id = c.id
         WHERE c.armed OR c.unblocked
        ON CONFLICT (booking_id) DO UPDATE SET
               revision       = s.revision + excluded.revision,
               starts_at      = coalesce(excluded.starts_at, s.starts_at),
               in_force_since = coalesce(excluded.in_force_since, s.in_force_since),
               unblocked_at   = coalesce(excluded.unblocked_at, s.unblocked_at),
               blocked_reason = CASE WHEN excluded.unblocked_at IS NULL THEN s.blocked_reason END
    )
    -- Its reminders may be due already. An hour ago may be to come, once a clock that was fast is set right; for one that was
    -- faster the hour's look is there.
    INSERT INTO public.booking_automation_looks (booking_id)
    SELECT id FROM armed WHERE scheduled_at > moment - interval '1 hour';
    RETURN NULL;
END
$$;

-- After an INSERT: a booking that is born confirmed is in force from now on.
CREATE OR REPLACE FUNCTION booking_automation_on_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    moment timestamptz := public.booking_automation_now();
BEGIN
    IF TG_RELID <> 'public.bookings'::regclass THEN
        RAISE EXCEPTION 'this function is for bookings alone' USING ERRCODE = 'insufficient_privilege';
    END IF;
    WITH armed AS MATERIALIZED (
        SELECT id, coalesce((SELECT b.scheduled_at FROM public.bookings b WHERE b.id = n.id), n.scheduled_at) AS scheduled_at
          FROM new_rows n
         WHERE status = 'confirmed' AND scheduled_at > moment - interval '1 hour' -- as above
    ), remembered AS (
        INSERT INTO public.booking_automation_state AS s (booking_id, revision, starts_at, in_force_since)
        SELECT id, 1, scheduled_at, moment FROM armed
        -- The id of a deleted booking, used again.
        ON CONFLICT (booking_id) DO UPDATE SET
               revision = s.revision + 1, starts_at = excluded.starts_at,
               in_force_since = excluded.in_force_since, unblocked_at = NULL
    )
    INSERT INTO public.booking_automation_looks (booking_id) SELECT id FROM armed;
    RETURN NULL;
END
$$;

-- Before an UPDATE that moves a booking: the flags speak of the new start.
CREATE OR REPLACE FUNCTION booking_automation_on_move() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    IF TG_RELID <> 'public.bookings'::regclass THEN
        RAISE EXCEPTION 'this function is for bookings alone' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT coalesce(bool_or(rule = '24h'), false),
           coalesce(bool_or(rule = '1h'),  false),
           coalesce(bool_or(rule = '15m'), false)
      INTO NEW.reminder_24h_sent, NEW.reminder_1h_sent, NEW.reminder_15m_sent
      FROM public.booking_automation_events
     WHERE booking_id = NEW.id
       AND event_type = 'reminder_sent' AND audience = 'customer' AND status = 'completed'
       AND starts_at = NEW.scheduled_at;
    RETURN NEW;
END
$$;

-- Nobody else attaches them to a table of their own, to write our tables with our rights.
REVOKE EXECUTE ON FUNCTION booking_automation_on_update(), booking_automation_on_insert(), booking_automation_on_move() FROM PUBLIC;

DROP TRIGGER IF EXISTS booking_automation_on_update ON bookings;
CREATE TRIGGER booking_automation_on_update AFTER UPDATE ON bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_on_update();

DROP TRIGGER IF EXISTS booking_automation_on_insert ON bookings;
CREATE TRIGGER booking_automation_on_insert AFTER INSERT ON bookings
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION booking_automation_on_insert();

-- Triggers of one kind fire by name: this one is last, and sees the start as their triggers leave it.
DROP TRIGGER IF EXISTS zzz_booking_automation_on_move ON bookings;
CREATE TRIGGER zzz_booking_automation_on_move BEFORE UPDATE ON bookings
    FOR EACH ROW WHEN (OLD.scheduled_at IS DISTINCT FROM NEW.scheduled_at)
    EXECUTE FUNCTION booking_automation_on_move();
