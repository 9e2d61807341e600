-- Whether one reminder replaces another of the same booking: the one that is due later is nearer to the start. Of two
-- that are due at the same time, the rule whose name comes later.
CREATE OR REPLACE FUNCTION public.booking_automation_supersedes(due_at timestamptz, rule text, other_due_at timestamptz, other_rule text)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (due_at, rule) > (other_due_at, other_rule)
$$;
