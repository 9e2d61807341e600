-- A rule of notices that is new, switched on, about another event or has another audience, name or channel takes effect
-- now: it sends nothing about what happened before.
CREATE OR REPLACE FUNCTION public.booking_automation_notices_begin_anew() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.active AND NOT OLD.active) OR NOT NEW.channels <@ OLD.channels
       OR (NEW.name, NEW.audience, NEW.on_event) IS DISTINCT FROM (OLD.name, OLD.audience, OLD.on_event) THEN
        NEW.effective_from := public.booking_automation_now();
    END IF;
    RETURN NEW;
END
$$;
