-- What the database knows of mails that were sent, by the ids in the endpoint's answers. The kinds have the names by which
-- people choose their messages.
SELECT DISTINCT ON (message_id) message_id, executed_at AS sent_at,
       CASE
           WHEN event_type = 'reminder_sent' AND bookings > 1 THEN 'grouped-reminder'
           WHEN event_type = 'reminder_sent' THEN 'reminder'
           WHEN event_data ? 'digest' THEN 'digest'
           WHEN event_data -> 'notice' ->> 'on_event' = 'completed' THEN 'follow-up'
           ELSE event_data -> 'notice' ->> 'on_event'
       END AS kind
  FROM (SELECT e.*, count(*) OVER (PARTITION BY e.message_id) AS bookings
          FROM public.booking_automation_events e
         WHERE e.event_type IN ('reminder_sent', 'notification_sent') AND e.message_id = ANY ($1)) AS sent
 ORDER BY message_id, seq
