-- The day's row in the erasures, if there is anything to delete: without it the audit trail refuses deletions.
--   $1 seconds that events are kept  $2 the moment to decide by (NULL: the clock)
INSERT INTO public.booking_automation_erasures (kind, day, at, transaction)
SELECT 'retention', (now.at AT TIME ZONE 'UTC')::date, now.at, pg_current_xact_id()
  FROM (SELECT coalesce($2, now()) AS at) AS now
 WHERE EXISTS (SELECT FROM public.booking_automation_events
                WHERE greatest(created_at, starts_at) < now.at - make_interval(secs => $1)
                  AND status IN ('completed', 'failed', 'skipped'))
    ON CONFLICT (day) WHERE kind = 'retention' DO UPDATE SET at = excluded.at, transaction = excluded.transaction
