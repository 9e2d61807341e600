-- A rule that is new, switched on, or speaks of another time, to others, or by another name or way, starts from now: each of
-- these is another key of the outbox, and without this everybody within its lead would be written to at once.
CREATE OR REPLACE FUNCTION reminder_rules_effective_from() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.active AND NOT OLD.active) OR NOT NEW.channels <@ OLD.channels
       OR (NEW.name, NEW.audience, NEW.lead) IS DISTINCT FROM (OLD.name, OLD.audience, OLD.lead) THEN
        NEW.effective_from := public.booking_automation_now();
    END IF;
    RETURN NEW;
END
$$;
