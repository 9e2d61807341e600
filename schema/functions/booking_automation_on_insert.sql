-- After an INSERT: a booking that is inserted as confirmed is in force from now on, and was confirmed now.
CREATE OR REPLACE FUNCTION public.booking_automation_on_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    moment  timestamptz;
    is_late boolean := false;
BEGIN
    LOOP BEGIN
        -- The table was renamed, moved or replaced: it is no longer ours to watch. See booking_automation_on_update.
        IF TG_RELID IS DISTINCT FROM to_regclass('public.bookings') THEN
            RETURN NULL;
        END IF;
        moment := public.booking_automation_now();
        WITH armed AS MATERIALIZED (
            SELECT id, coalesce((SELECT b.scheduled_at FROM public.bookings b WHERE b.id = n.id), n.scheduled_at) AS scheduled_at
              FROM new_rows n
             WHERE status = 'confirmed' AND scheduled_at > moment - interval '1 hour' -- as in on_update
        ), remembered AS (
            INSERT INTO public.booking_automation_state AS s (booking_id, revision, starts_at, in_force_since)
            SELECT id, 1 + public.booking_automation_latest_revision(id), scheduled_at, moment FROM armed WHERE NOT is_late
            -- The id of a deleted booking was used again.
            ON CONFLICT (booking_id) DO UPDATE SET
                   revision = s.revision + 1, starts_at = excluded.starts_at,
                   in_force_since = excluded.in_force_since, unblocked_at = NULL
        ), postponed AS (
            INSERT INTO public.booking_automation_state_changes (booking_id, in_force_since)
            SELECT id, moment FROM armed WHERE is_late
        ), noticed AS (
            INSERT INTO public.booking_automation_notices
                   (event_id, booking_id, on_event, rule, audience, happened_at, due_at, is_automatic, queued_at)
            SELECT gen_random_uuid(), a.id, r.on_event, r.name, r.audience, moment, moment + r.delay, false, moment
              FROM armed a CROSS JOIN public.booking_automation_notice_rules r
             WHERE r.on_event = 'confirmed' AND r.active AND r.effective_from <= moment
        )
        INSERT INTO public.booking_automation_looks (booking_id) SELECT id FROM armed;
        RETURN NULL;
    EXCEPTION
        -- See booking_automation_on_update.
        WHEN serialization_failure THEN
            IF is_late THEN
                RAISE;
            END IF;
            is_late := true;
        -- A column was renamed, dropped or got another type: see booking_automation_on_update.
        WHEN syntax_error_or_access_rule_violation OR invalid_text_representation OR feature_not_supported THEN
            RAISE LOG 'booking-automation does not record this INSERT: %', SQLERRM;
            RETURN NULL;
    END; END LOOP;
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_on_insert() FROM PUBLIC;
