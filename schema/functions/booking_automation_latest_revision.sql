-- The latest schedule revision of a booking for which there is a decision. It stands in for a missing row of
-- booking_automation_state, so that an emptied table neither repeats nor loses a reminder.
CREATE OR REPLACE FUNCTION public.booking_automation_latest_revision(booking_id uuid)
RETURNS integer LANGUAGE sql STABLE AS $$
    -- SERIALIZABLE transactions of the user would fail for each other, since each also inserts into what it reads here.
    -- The program's own statements contain the query after ELSE, since a call of the function takes longer than the query.
    SELECT CASE WHEN current_setting('transaction_isolation') = 'serializable' THEN 0
           -- Only the booking is a condition on the table: no plan reads another index.
           ELSE (SELECT coalesce(max(decided.revision) FILTER (WHERE decided.event_type = 'reminder_sent' AND decided.rule <> ''), 0)
                   FROM public.booking_automation_events decided WHERE decided.booking_id = $1) END
$$;
