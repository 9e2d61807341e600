-- The subscriptions with due messages, including deleted ones, since their messages must be ended.
WITH RECURSIVE waiting AS (
    (SELECT audience FROM public.booking_automation_events
      WHERE event_type = 'webhook' AND status IN ('pending', 'sending')
      ORDER BY audience LIMIT 1)
    UNION ALL
    -- Jumps from one subscription to the next, since one may have a million rows waiting.
    SELECT (SELECT e.audience FROM public.booking_automation_events e
             WHERE e.event_type = 'webhook' AND e.status IN ('pending', 'sending') AND e.audience > w.audience
             ORDER BY e.audience LIMIT 1)
      FROM waiting w
     WHERE w.audience IS NOT NULL
)
SELECT w.audience
  FROM waiting w
 WHERE EXISTS (SELECT FROM public.booking_automation_events e
                WHERE e.event_type = 'webhook' AND e.status IN ('pending', 'sending') AND e.audience = w.audience
                  AND e.next_attempt_at <= (SELECT clock_timestamp()))
