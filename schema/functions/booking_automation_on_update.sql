-- After an UPDATE: writes the audit trail, the schedule revision, and the recheck queue.
CREATE OR REPLACE FUNCTION public.booking_automation_on_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- PL/pgSQL keeps the plan of the session's first call. If that was a one-row update, its nested loop over two
-- transition tables would take minutes on a bulk update; a hash join suits both. Where a disabled plan has no
-- alternative, its estimated cost is so high that the server would use JIT compilation in each statement of the user;
-- jit = off prevents that.
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
        RAISE EXCEPTION 'this function is only for bookings' USING ERRCODE = 'insufficient_privilege';
    END IF;
    WITH changed AS MATERIALIZED (
        -- Rows with a change in a watched column: usually none.
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
        -- With the current start: a trigger of the user may have moved the booking, and that inner statement fired this
        -- trigger before the outer one does.
        SELECT id, coalesce((SELECT b.scheduled_at FROM public.bookings b WHERE b.id = changed.id), scheduled_at) AS scheduled_at
          FROM changed
         WHERE armed
    ), audited AS (
        -- Every status change, by any program.
        INSERT INTO public.booking_automation_events
               (booking_id, event_type, event_data, scheduled_at, executed_at, status)
        SELECT id, 'status_update',
               jsonb_strip_nulls(jsonb_build_object('from', old_status, 'to', new_status,
                   'by', coalesce(actor, session_user), 'reason', reason, 'run_id', log_entry ->> 'run_id',
                   -- The refund of this booking only: a trigger of the user may change other bookings in the same
                   -- transaction.
                   'refund', CASE WHEN new_status = 'cancelled' THEN refund -> id::text END)),
               coalesce((log_entry ->> 'due_at')::timestamptz, moment), moment, 'completed'
          FROM changed
         WHERE old_status IS DISTINCT FROM new_status
    ), remembered AS (
        -- A new schedule revision, or the time when a person removed the block.
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
    -- Its reminders may be due already. The hour covers a clock that runs fast and is then corrected; the hourly sweep
    -- covers a larger error.
    INSERT INTO public.booking_automation_looks (booking_id)
    SELECT id FROM armed WHERE scheduled_at > moment - interval '1 hour';
    RETURN NULL;
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_on_update() FROM PUBLIC;
