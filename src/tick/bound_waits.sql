-- After the database's clock was set back: cuts each wait and each lease to what it can have been, from now. A lease is
-- never taken as over, since its sender may be alive.
--   $1 seconds of a mail's lease  $2 that an unknown outcome waits  $3 that the account is left alone  $4 of the first
--   back-off  $5 seconds of a webhook's lease  $6 its waits after each attempt
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), waiting AS MATERIALIZED (
    SELECT e.id, k.at + make_interval(secs => CASE e.event_type WHEN 'webhook' THEN $5 ELSE $1 END) AS leased_until,
           k.at + make_interval(secs => CASE
               WHEN e.event_type = 'webhook' AND e.status = 'sending' THEN $5
               WHEN e.event_type = 'webhook' AND e.attempts = 0 THEN 0
               WHEN e.event_type = 'webhook' THEN coalesce($6[e.attempts], $6[cardinality($6)], 0)
               WHEN e.status = 'sending' THEN $1 + $2
               -- Never tried, and not held back because of the account. One that may leave with another mail waits for its
               -- own time.
               WHEN e.attempts = 0 AND e.reason IS NULL THEN greatest(extract(epoch FROM e.scheduled_at - k.at), 0)
               ELSE greatest($4 * (1 << least(greatest(e.attempts - 1, 0), 3)), $2, $3)
           END) AS until
      FROM public.booking_automation_events e, clock k
     WHERE e.status IN ('pending', 'sending') AND e.next_attempt_at > k.at
       FOR UPDATE OF e SKIP LOCKED
)
UPDATE public.booking_automation_events e
   SET next_attempt_at = least(e.next_attempt_at, w.until), lease_until = least(e.lease_until, w.leased_until)
  FROM waiting w
 WHERE e.id = w.id AND (e.next_attempt_at > w.until OR e.lease_until > w.leased_until)
