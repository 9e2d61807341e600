-- Counts a failed attempt for a message whose booking's row of the contacts view cannot be read, or gives it up because
-- processes ended over it. Back-off is as after any other attempt. As in a claim, a lease that ran out is recorded, and
-- the provider's events settle an earlier attempt.
--   $1 the server's message  $2 the moment to decide by (NULL: the clock)  $3 attempts, at most
--   $4 seconds before the second attempt  $5 the message  $6 reason
WITH message AS MATERIALIZED (
    SELECT e.id, least(1 << e.attempts, 8) * make_interval(secs => $4) AS wait
      FROM public.booking_automation_events e
     WHERE e.id = $5 AND {claimable} AND e.next_attempt_at <= clock_timestamp()
       FOR UPDATE SKIP LOCKED
), checked AS (
    SELECT id, wait, clock_timestamp() AS at, coalesce($2, clock_timestamp()) AS as_of,
           public.booking_automation_settled_by(id) AS settled_by
      FROM message
), judged AS (
    SELECT t.*,
           CASE WHEN t.settled_by IS NOT NULL THEN 'completed'
                WHEN $6 = 'crash' OR e.attempts + 1 >= $3 OR {ends_before} t.as_of + t.wait THEN 'failed'
                ELSE 'pending' END AS status,
           CASE WHEN t.settled_by IS NOT NULL
                THEN public.booking_automation_settled_attempt(e.attempts, t.at, t.settled_by)
                WHEN e.status = 'sending'
                THEN public.booking_automation_lost_attempt(e.attempts) END AS earlier,
           jsonb_build_object('attempt', least(e.attempts + 1, $3), 'at', t.at, 'outcome', $6) AS this
      FROM checked t JOIN public.booking_automation_events e ON e.id = t.id
)
UPDATE public.booking_automation_events e
   SET status = j.status, message_id = coalesce(j.settled_by, e.message_id),
       attempts = CASE WHEN j.status = 'completed' THEN e.attempts ELSE least(e.attempts + 1, $3) END, claim = e.claim + 1,
       {leaves_group}
       reason = CASE WHEN j.status <> 'completed' THEN $6 END,
       error_message = CASE WHEN j.status <> 'completed' THEN $1 END,
       flag_due = j.status = 'completed' AND e.event_type = 'reminder_sent' AND public.booking_automation_has_flag(e.rule, e.audience),
       event_data = CASE
           WHEN j.status = 'completed' THEN public.booking_automation_with_attempt(e.event_data, j.earlier)
           WHEN j.earlier IS NULL THEN public.booking_automation_with_attempt(e.event_data, j.this)
           ELSE public.booking_automation_with_attempt(public.booking_automation_with_attempt(e.event_data, j.earlier), j.this)
       END,
       lease_until = NULL,
       next_attempt_at = CASE WHEN j.status = 'pending' THEN j.at + j.wait END,
       executed_at = CASE WHEN j.status <> 'pending' THEN j.as_of END
  FROM judged j
 WHERE e.id = j.id
RETURNING e.id, e.status, false AS moves_on
