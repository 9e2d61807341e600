-- What the database knows of messages that were sent, by the ids in the endpoint's answers. The kinds have the names of the
-- program's kinds of messages.
SELECT message_id, max(executed_at) AS sent_at,
       CASE WHEN count(*) > 1 THEN 'grouped-reminder' ELSE min(kind) END AS kind,
       min((SELECT string_agg(format('%s: %s', step ->> 'channel', step ->> 'reason'), ', ')
              FROM jsonb_array_elements(event_data -> 'chain') AS step)) AS not_by
  FROM public.booking_automation_events
 CROSS JOIN LATERAL (
       SELECT CASE
                  WHEN event_type = 'reminder_sent' THEN 'reminder'
                  WHEN event_data ? 'digest' THEN 'digest'
                  WHEN event_data -> 'notice' ->> 'on_event' = 'completed' THEN 'follow-up'
                  ELSE event_data -> 'notice' ->> 'on_event'
              END AS kind) AS of_event
 WHERE event_type IN ('reminder_sent', 'notification_sent') AND message_id = ANY ($1)
 GROUP BY message_id
