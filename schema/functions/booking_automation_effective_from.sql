-- A rule that is new, switched on, or has another lead, audience, name or channel takes effect now. Each of these gives
-- new keys in the outbox; otherwise every booking within the lead would get a message at once.
CREATE OR REPLACE FUNCTION public.booking_automation_effective_from() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.active AND NOT OLD.active) OR NOT NEW.channels <@ OLD.channels
       OR (NEW.name, NEW.audience, NEW.lead) IS DISTINCT FROM (OLD.name, OLD.audience, OLD.lead) THEN
        NEW.effective_from := public.booking_automation_now();
    END IF;
    RETURN NEW;
END
$$;
