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
-- So that no other role can attach it to a table of its own, and write our tables with our rights.
REVOKE EXECUTE ON FUNCTION booking_automation_keep_erasure() FROM PUBLIC;
