-- How many reminders wait, how many of those can be claimed now, and when the oldest was due: of the first 10 000 by their
-- starts. Leases and back-off use the real clock. Messages to webhooks have no start.
SELECT least(count(*), 10000) AS pending,
       count(*) > 10000 AS more_pending,
       least(count(*) FILTER (WHERE next_attempt_at <= clock_timestamp()), 10000) AS claimable,
       min(scheduled_at) FILTER (WHERE isfinite(scheduled_at)) AS oldest_due_at
  FROM (SELECT next_attempt_at, scheduled_at
          FROM public.booking_automation_events
         WHERE status IN ('pending', 'sending') AND next_attempt_at IS NOT NULL AND starts_at IS NOT NULL
         ORDER BY starts_at, seq
         LIMIT 10001) AS first
