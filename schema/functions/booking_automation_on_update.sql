-- After an UPDATE: writes the audit trail (changes of the status, moves of the start), the schedule revision, and the recheck queue.
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
    moment      timestamptz;
    trusted     boolean;
    actor       text;
    automatic   boolean;
    reason      text;
    refund      jsonb;
    run_id      text;
    due         json;  -- when the step of each booking became due: see src/bookings/step_candidates.sql
    made_by     jsonb; -- the author of all changes of the statement
    made_by_run jsonb; -- the same of an automatic step
    is_late     boolean := false; -- our state of the bookings is left to the next pass
BEGIN
    LOOP BEGIN
        -- The table was renamed, moved or replaced: it is no longer ours to watch.
        IF TG_RELID IS DISTINCT FROM to_regclass('public.bookings') THEN
            RETURN NULL;
        END IF;
        moment := public.booking_automation_now();
        trusted := public.booking_automation_is_trusted();
        actor := left(nullif(current_setting('booking_automation.actor', true), ''), 200);
        automatic := trusted AND coalesce(actor = 'booking-automation', false);
        reason := left(nullif(current_setting('booking_automation.reason', true), ''), 2000);
        IF trusted THEN
            refund := nullif(current_setting('booking_automation.refund', true), '');
        END IF;
        IF automatic THEN
            run_id := nullif(current_setting('booking_automation.run_id', true), '');
            due := nullif(current_setting('booking_automation.due', true), '');
        END IF;
        made_by := jsonb_strip_nulls(jsonb_build_object(
            'by', CASE WHEN trusted THEN coalesce(actor, session_user) ELSE session_user END, 'session_user', session_user,
            'reason', CASE WHEN trusted THEN reason END,
            -- Any role can set these: they say nothing for certain.
            'claimed_by', CASE WHEN NOT trusted THEN actor END, 'claimed_reason', CASE WHEN NOT trusted THEN reason END));
        made_by_run := made_by || jsonb_build_object('run_id', run_id);
        WITH changed AS MATERIALIZED (
            -- Rows with a change in a watched column: usually none.
            SELECT n.id, o.status AS old_status, n.status AS new_status, o.scheduled_at AS old_start, n.scheduled_at,
                   d.value AS due_at,
                   -- The previous release hands over by the booking's log.
                   CASE WHEN automatic AND due IS NULL THEN to_jsonb(n) -> 'automation_logs' -> -1 END AS log_entry,
                   n.status = 'confirmed' AND (o.status IS DISTINCT FROM n.status
                                               OR o.scheduled_at IS DISTINCT FROM n.scheduled_at) AS armed
              FROM new_rows n
              JOIN old_rows o ON o.id = n.id
              LEFT JOIN json_each_text(due) d ON d.key::uuid = n.id
             WHERE o.status IS DISTINCT FROM n.status
                OR o.scheduled_at IS DISTINCT FROM n.scheduled_at
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
                   jsonb_strip_nulls(jsonb_build_object('from', old_status, 'to', new_status))
                   || CASE WHEN due_at IS NOT NULL THEN made_by_run
                           WHEN log_entry IS NULL AND refund IS NULL THEN made_by
                           ELSE made_by || jsonb_strip_nulls(jsonb_build_object('run_id', log_entry ->> 'run_id',
                               -- The refund of this booking only: a trigger of the user may change other bookings in the
                               -- same transaction.
                               'refund', CASE WHEN new_status = 'cancelled' THEN refund -> id::text END)) END,
                   coalesce(coalesce(due_at, log_entry ->> 'due_at')::timestamptz, moment), moment, 'completed'
              FROM changed
             WHERE old_status IS DISTINCT FROM new_status
        ), moved AS (
            -- Every move of a start, by any program.
            INSERT INTO public.booking_automation_events
                   (booking_id, event_type, event_data, scheduled_at, executed_at, status)
            SELECT id, 'rescheduled',
                   jsonb_strip_nulls(jsonb_build_object('from', public.booking_automation_rfc3339(old_start),
                                                        'to', public.booking_automation_rfc3339(scheduled_at))) || made_by,
                   moment, moment, 'completed'
              FROM changed
             WHERE old_start IS DISTINCT FROM scheduled_at
        ), remembered AS (
            -- A new schedule revision.
            INSERT INTO public.booking_automation_state AS s (booking_id, revision, starts_at, in_force_since)
            SELECT id, 1 + public.booking_automation_latest_revision(id), scheduled_at, moment FROM armed WHERE NOT is_late
            ON CONFLICT (booking_id) DO UPDATE SET
                   revision = s.revision + 1, starts_at = coalesce(excluded.starts_at, s.starts_at),
                   in_force_since = excluded.in_force_since
        ), postponed AS (
            INSERT INTO public.booking_automation_state_changes (booking_id, in_force_since)
            SELECT id, moment FROM armed WHERE is_late
        )
        -- Its reminders may be due already. The hour covers a clock that runs fast and is then corrected; the hourly sweep
        -- covers a larger error.
        INSERT INTO public.booking_automation_looks (booking_id)
        SELECT id FROM armed WHERE scheduled_at > moment - interval '1 hour'
        UNION ALL
        -- A contradiction, which the next pass logs: see src/reminders/take_rechecks.sql.
        SELECT id FROM changed WHERE new_status = 'completed' AND scheduled_at > moment;
        -- The block was removed, by a person or a trigger of the user. The user may have no such column.
        IF EXISTS (SELECT FROM pg_attribute
                    WHERE attrelid = TG_RELID AND attname = 'auto_complete_blocked'
                      AND atttypid = 'boolean'::regtype AND NOT attisdropped) THEN
            WITH unblocked AS (
                SELECT n.id
                  FROM new_rows n
                  JOIN old_rows o ON o.id = n.id
                 WHERE o.auto_complete_blocked IS TRUE AND n.auto_complete_blocked IS NOT TRUE
            ), postponed AS (
                INSERT INTO public.booking_automation_state_changes (booking_id, unblocked_at)
                SELECT id, moment FROM unblocked WHERE is_late
            )
            INSERT INTO public.booking_automation_state AS s (booking_id, revision, unblocked_at)
            SELECT id, public.booking_automation_latest_revision(id), moment FROM unblocked WHERE NOT is_late
            ON CONFLICT (booking_id) DO UPDATE SET unblocked_at = excluded.unblocked_at, blocked_reason = NULL;
        END IF;
        RETURN NULL;
    EXCEPTION
        -- The transaction keeps one snapshot (REPEATABLE READ), and the automation has written a row of its state since. The
        -- user's statement must not fail for that: the next pass makes the change (src/bookings/state_changes.sql).
        WHEN serialization_failure THEN
            IF is_late THEN
                RAISE;
            END IF;
            is_late := true;
        -- A column was renamed, dropped or got another type. The user's statement goes on; the next pass and `check` name what is
        -- missing.
        WHEN syntax_error_or_access_rule_violation OR invalid_text_representation OR feature_not_supported THEN
            RAISE LOG 'booking-automation does not record this UPDATE: %', SQLERRM;
            RETURN NULL;
    END; END LOOP;
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_on_update() FROM PUBLIC;
