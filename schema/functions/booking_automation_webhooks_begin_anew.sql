-- A subscription that is resumed or gets a new URL starts without failures.
CREATE OR REPLACE FUNCTION public.booking_automation_webhooks_begin_anew() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.suspended_at IS NOT NULL AND NEW.suspended_at IS NULL OR NEW.is_active AND NOT OLD.is_active OR NEW.url <> OLD.url THEN
        NEW.failing_since := NULL;
    END IF;
    RETURN NEW;
END
$$;
