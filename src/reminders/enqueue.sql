-- Continues decisions.sql. $5 is the run. $6: earlier passes have moved the reminders of quiet hours that began
-- before. The UNIQUE key decides.
, enqueued AS (
    INSERT INTO public.booking_automation_events
           (booking_id, event_type, event_data, scheduled_at, executed_at, status, reason,
            rule, audience, channel, revision, starts_at, next_attempt_at)
    SELECT id, 'reminder_sent',
           jsonb_build_object('run_id', $5)
               || CASE WHEN quiet_from IS NULL THEN '{}'
                       ELSE jsonb_build_object('quiet_hours', jsonb_build_object('from', quiet_from, 'moved', moved_to IS NOT NULL)) END,
           due_at,
           CASE WHEN reason IS NOT NULL THEN $1 END,
           CASE WHEN reason IS NULL THEN 'pending' ELSE 'skipped' END, reason,
           name, audience, channel, revision, scheduled_at,
           CASE WHEN reason IS NULL THEN clock_timestamp() END
      FROM decision
     ORDER BY scheduled_at, id
    ON CONFLICT (booking_id, revision, rule, audience, channel) WHERE event_type = 'reminder_sent' AND rule <> '' DO NOTHING
    RETURNING id, booking_id, audience, reason
), handed_over AS (
    SELECT id, booking_id, audience FROM enqueued WHERE reason IS NULL
)
SELECT count(*) AS pending, (SELECT count(*) FROM enqueued WHERE reason IS NOT NULL) AS skipped,
       (SELECT count(*) FROM decision) AS decisions, {hand_over}
  FROM handed_over
