-- Continues decisions.sql. $5 is the run. The UNIQUE key decides.
, enqueued AS (
    INSERT INTO booking_automation_events
           (booking_id, event_type, event_data, scheduled_at, executed_at, status, reason,
            rule, audience, channel, revision, starts_at, next_attempt_at)
    SELECT id, 'reminder_sent', jsonb_build_object('run_id', $5), due_at,
           CASE WHEN reason IS NOT NULL THEN $1 END,
           CASE WHEN reason IS NULL THEN 'pending' ELSE 'skipped' END, reason,
           name, audience, channel, revision, scheduled_at,
           CASE WHEN reason IS NULL THEN clock_timestamp() END
      FROM decision
     ORDER BY scheduled_at, id
    ON CONFLICT (booking_id, revision, rule, audience, channel) WHERE event_type = 'reminder_sent' AND rule <> '' DO NOTHING
    RETURNING reason
)
SELECT count(*) FILTER (WHERE reason IS NULL) AS pending, count(*) FILTER (WHERE reason IS NOT NULL) AS skipped,
       (SELECT count(*) FROM decision) AS decisions
  FROM enqueued
