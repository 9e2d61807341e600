-- Records the state of a subscription's endpoint, with the outcomes of its messages.
--   $1 the subscription  $2 whether it proved to be there (NULL: nothing was tried)  $3 whether it answered 410
--   $4 seconds for which an endpoint may fail
-- If another transaction is changing the subscription right now, the next batch records this.
UPDATE public.booking_automation_webhooks w
   SET failing_since = CASE WHEN $2 THEN NULL ELSE coalesce(w.failing_since, clock_timestamp()) END,
       suspended_at = CASE WHEN $3 OR NOT $2 AND w.failing_since <= clock_timestamp() - make_interval(secs => $4)
                           THEN clock_timestamp() END
 WHERE w.id = (SELECT id FROM public.booking_automation_webhooks
                WHERE id::text = $1 AND is_active AND suspended_at IS NULL FOR UPDATE SKIP LOCKED)
   -- Only a real change.
   AND (NOT $2 OR $3 OR w.failing_since IS NOT NULL)
RETURNING w.suspended_at IS NOT NULL AS suspended
