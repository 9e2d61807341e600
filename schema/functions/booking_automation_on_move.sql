-- Before an UPDATE that moves a booking: sets the flags for the new start.
CREATE OR REPLACE FUNCTION public.booking_automation_on_move() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('public.bookings') THEN
        RETURN NEW;
    END IF;
    SELECT coalesce(bool_or(rule = '24h'), false),
           coalesce(bool_or(rule = '1h'),  false),
           coalesce(bool_or(rule = '15m'), false)
      INTO NEW.reminder_24h_sent, NEW.reminder_1h_sent, NEW.reminder_15m_sent
      -- OFFSET 0: a plan that the session keeps from when the table was small reads the booking's events and no other index.
      FROM (SELECT * FROM public.booking_automation_events e WHERE e.booking_id = NEW.id OFFSET 0) AS e
     WHERE event_type = 'reminder_sent' AND audience = 'customer' AND status = 'completed'
       AND starts_at = NEW.scheduled_at;
    RETURN NEW;
-- A column was renamed, dropped or got another type: see booking_automation_on_update.
EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_text_representation OR feature_not_supported THEN
    RETURN NEW;
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_on_move() FROM PUBLIC;
