-- How many reminders wait, how many of those can be claimed now, and when the oldest was due. Leases and back-off use
-- the real clock. Messages to webhooks have no start.
SELECT count(*) AS pending,
       count(*) FILTER (WHERE next_attempt_at <= clock_timestamp()) AS claimable,
       min(scheduled_at) FILTER (WHERE isfinite(scheduled_at)) AS oldest_due_at
  FROM public.booking_automation_events
 WHERE status IN ('pending', 'sending') AND next_attempt_at IS NOT NULL AND starts_at IS NOT NULL
