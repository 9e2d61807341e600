-- Records outcomes of one subscription's messages, each fenced by its claim, and the state of its endpoint.
--   $1 ids  $2 claims  $3 outcome: completed, pending or released  $4 reasons  $5 errors  $6 seconds to the next attempt
--   $7 attempts, at most  $8 the moment to decide by (NULL: the clock)
--   $9 the subscription  $10 whether it proved to be there (NULL: nothing was tried)  $11 whether it answered 410
--   $12 seconds for which an endpoint may fail
WITH outcome AS (
    SELECT o.*, clock_timestamp() AS at
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::float8[]) AS o (id, claim, outcome, reason, error, wait)
), judged AS (
    SELECT o.*,
           CASE WHEN o.outcome = 'released' THEN 'pending'
                WHEN o.outcome = 'pending' AND e.attempts >= $7 THEN 'failed'
                ELSE o.outcome END AS status
      FROM outcome o
      JOIN public.booking_automation_events e ON e.id = o.id
), recorded AS (
    UPDATE public.booking_automation_events e
       SET status = j.status, reason = j.reason, error_message = j.error,
           attempts = e.attempts - (j.outcome = 'released')::integer,
           lease_until = NULL,
           next_attempt_at = CASE WHEN j.status = 'pending' THEN j.at + make_interval(secs => j.wait) END,
           executed_at = CASE WHEN j.status <> 'pending' THEN coalesce($8, j.at) END,
           -- Every attempt is recorded.
           event_data = CASE WHEN j.outcome = 'released' THEN e.event_data
               ELSE public.booking_automation_with_attempt(e.event_data, jsonb_strip_nulls(jsonb_build_object('attempt', e.attempts, 'at', j.at,
                           'outcome', CASE WHEN j.outcome = 'completed' THEN 'sent' ELSE j.reason END, 'error', j.error))) END
      FROM judged j
     WHERE e.id = j.id AND e.status = 'sending' AND e.claim = j.claim
    RETURNING e.status, j.outcome
), endpoint AS (
    -- If another transaction is changing the subscription right now, the next batch records this.
    UPDATE public.booking_automation_webhooks w
       SET failing_since = CASE WHEN $10 THEN NULL ELSE coalesce(w.failing_since, clock_timestamp()) END,
           suspended_at = CASE WHEN $11 OR NOT $10 AND w.failing_since <= clock_timestamp() - make_interval(secs => $12)
                               THEN clock_timestamp() END
     WHERE w.id = (SELECT id FROM public.booking_automation_webhooks
                    WHERE id::text = $9 AND is_active AND suspended_at IS NULL FOR UPDATE SKIP LOCKED)
       -- Only a real change.
       AND (NOT $10 OR $11 OR w.failing_since IS NOT NULL)
    RETURNING w.suspended_at IS NOT NULL AS suspended
)
SELECT (SELECT count(*) FROM recorded) AS recorded,
       (SELECT count(*) FROM recorded WHERE status = 'completed') AS completed,
       (SELECT count(*) FROM recorded WHERE status = 'failed') AS failed,
       (SELECT count(*) FROM recorded WHERE outcome = 'pending' AND status = 'pending') AS retrying,
       coalesce((SELECT suspended FROM endpoint), false) AS suspended
