-- After events were recorded, queues a notice for each rule that is about them.
CREATE OR REPLACE FUNCTION public.booking_automation_queue_notices() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off -- see booking_automation_on_update
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    IF TG_RELID <> 'public.booking_automation_events'::regclass THEN
        RAISE EXCEPTION 'this function is only for booking_automation_events' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (SELECT FROM public.booking_automation_notice_rules WHERE active) THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.booking_automation_notices
           (event_id, booking_id, on_event, rule, audience, happened_at, due_at, is_automatic, queued_at)
    SELECT n.id, n.booking_id, r.on_event, r.name, r.audience, n.scheduled_at, n.scheduled_at + r.delay,
           coalesce(n.event_data ? 'run_id', false), coalesce(n.executed_at, public.booking_automation_now())
      FROM new_rows n
      JOIN public.booking_automation_notice_rules r
        ON r.on_event = public.booking_automation_notice_event(n.event_type, n.event_data)
       AND r.active AND r.effective_from <= n.scheduled_at
     -- Not for a change that the database refused.
     WHERE n.status = 'completed'
       -- A move matters where a person knows of the booking. A pass takes one that has started back to confirmed.
       AND (r.on_event <> 'rescheduled'
            OR (SELECT b.status FROM public.bookings b WHERE b.id = n.booking_id) IN ('confirmed', 'in_progress'))
     ORDER BY n.seq, r.name;
    RETURN NULL;
-- A column was renamed, dropped or got another type: see booking_automation_on_update.
EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_text_representation OR feature_not_supported THEN
    RAISE LOG 'booking-automation queues no notices: %', SQLERRM;
    RETURN NULL;
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_queue_notices() FROM PUBLIC;
