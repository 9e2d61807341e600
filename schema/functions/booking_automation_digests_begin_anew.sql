-- A rule of digests that is new, switched on, or has another hour, audience, name or channel takes effect now: it sends
-- nothing for an hour that came before.
CREATE OR REPLACE FUNCTION public.booking_automation_digests_begin_anew() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.active AND NOT OLD.active) OR NOT NEW.channels <@ OLD.channels
       OR (NEW.name, NEW.audience, NEW.local_hour) IS DISTINCT FROM (OLD.name, OLD.audience, OLD.local_hour) THEN
        NEW.effective_from := public.booking_automation_now();
    END IF;
    RETURN NEW;
END
$$;
