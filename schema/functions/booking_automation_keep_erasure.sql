-- An erasure's own row cannot be removed, and its time is set here. The row of today's retention may increase its
-- count; a person's row gets its count in the transaction that inserts it.
CREATE OR REPLACE FUNCTION public.booking_automation_keep_erasure() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (
           (NEW.id, NEW.kind, NEW.day, NEW.person_id) IS DISTINCT FROM (OLD.id, OLD.kind, OLD.day, OLD.person_id)
           OR NEW.events < OLD.events
           OR OLD.transaction <> pg_current_xact_id()
              AND (OLD.kind <> 'retention' OR OLD.day <> (public.booking_automation_now() AT TIME ZONE 'UTC')::date)) THEN
        RAISE EXCEPTION 'the audit trail cannot be changed, nor the record of its erasures'
              USING ERRCODE = 'restrict_violation';
    END IF;
    NEW.at := public.booking_automation_now();
    NEW.day := (NEW.at AT TIME ZONE 'UTC')::date;
    NEW.transaction := pg_current_xact_id();
    RETURN NEW;
END
$$;
-- Otherwise another role could attach it to a table of its own and write our tables with our privileges.
REVOKE EXECUTE ON FUNCTION public.booking_automation_keep_erasure() FROM PUBLIC;
