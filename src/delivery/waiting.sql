-- How many reminders wait, how many of those can be claimed now, when the oldest was due, and which channels have any that
-- can be claimed, or more than these: of the first 10 000 of each channel, by their starts. Leases and back-off use the real clock. Messages to
-- webhooks have no start.
SELECT sum(least(w.pending, 10000))::bigint AS pending,
       bool_or(w.pending > 10000) AS more_pending,
       sum(least(w.claimable, 10000))::bigint AS claimable,
       min(w.oldest_due_at) AS oldest_due_at,
       coalesce(array_agg(w.channel) FILTER (WHERE w.claimable > 0 OR w.pending > 10000), '{}') AS channels
  -- Before `migrate`, events lack this column. Where they have it, the name means their own.
  FROM (SELECT NULL::text AS via) AS absent
 CROSS JOIN unnest(ARRAY['email', 'sms', 'push']) AS waits (by)
 CROSS JOIN LATERAL (
       SELECT waits.by AS channel, count(*) AS pending, count(*) FILTER (WHERE first.next_attempt_at <= clock_timestamp()) AS claimable,
              min(first.scheduled_at) FILTER (WHERE isfinite(first.scheduled_at)) AS oldest_due_at
         FROM (SELECT next_attempt_at, scheduled_at
                 FROM public.booking_automation_events
                WHERE status IN ('pending', 'sending') AND next_attempt_at IS NOT NULL AND starts_at IS NOT NULL
                  AND coalesce(via, split_part(channel, '>', 1)) = waits.by
                ORDER BY starts_at, seq
                LIMIT 10001) AS first) AS w
