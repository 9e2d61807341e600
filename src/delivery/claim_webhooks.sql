-- Claims the messages to one subscription that are due, or ends them if it is deleted, switched off or suspended.
--   $1 the subscription  $2 how many, at most  $3 seconds of the lease  $4 attempts, at most
--   $5 the moment to decide by (NULL: the clock)  $6 bytes of all bodies: where they are used up, the batch ends
WITH RECURSIVE clock AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), subscription AS MATERIALIZED (
    -- The subscription's current state, which may have changed since its messages were written.
    SELECT w.url, w.secret, w.failing_since IS NOT NULL AS failing,
           CASE WHEN w.id IS NULL THEN 'unsubscribed' WHEN NOT w.is_active THEN 'switched_off'
                WHEN w.suspended_at IS NOT NULL THEN 'suspended' END AS not_told
      FROM (VALUES ($1)) AS asked (id)
      LEFT JOIN public.booking_automation_webhooks w ON w.id::text = asked.id
), size AS MATERIALIZED (
    -- While the endpoint fails, one message tests whether it accepts again.
    SELECT CASE WHEN not_told IS NOT NULL THEN 1000 WHEN failing THEN 1 ELSE $2 END AS rows FROM subscription
), turn_index AS MATERIALIZED (
    -- It may not be there before `migrate`.
    SELECT coalesce((SELECT indisvalid FROM pg_index
                      WHERE indexrelid = to_regclass('public.booking_automation_events_turns')), false) AS is_valid
), waiting AS (
    -- What waits: kinds, and the attempts that were made, in jumps from one to the next, since each may have a
    -- million rows. NOT IN is what the index of turns has: the planner cannot take another one, which would read all
    -- that waits for each of them.
    (SELECT rule, attempts FROM public.booking_automation_events
      WHERE event_type = 'webhook' AND status NOT IN ('completed', 'failed', 'skipped') AND audience = $1
        AND (SELECT is_valid FROM turn_index)
      ORDER BY rule, attempts LIMIT 1)
    UNION ALL
    SELECT next.rule, next.attempts
      FROM waiting t
     CROSS JOIN LATERAL (
           SELECT e.rule, e.attempts FROM public.booking_automation_events e
            WHERE e.event_type = 'webhook' AND e.status NOT IN ('completed', 'failed', 'skipped') AND e.audience = $1
              AND (e.rule, e.attempts) > (t.rule, t.attempts)
            ORDER BY e.rule, e.attempts LIMIT 1) AS next
), due AS MATERIALIZED (
    -- New, retried and lease-expired rows: of each kind those with the fewest attempts, and of these the longest due.
    SELECT e.id, row_number() OVER (PARTITION BY t.rule ORDER BY t.attempts, e.next_attempt_at, e.seq) AS turn
      FROM waiting t
     CROSS JOIN LATERAL (
           SELECT w.id, w.next_attempt_at, w.seq FROM public.booking_automation_events w
            WHERE w.event_type = 'webhook' AND w.status NOT IN ('completed', 'failed', 'skipped') AND w.audience = $1
              AND w.rule = t.rule AND w.attempts = t.attempts AND w.next_attempt_at <= (SELECT at FROM clock)
            ORDER BY w.next_attempt_at, w.seq
            LIMIT (SELECT rows + $2 FROM size)) AS e
    UNION ALL
    -- Without that index, the longest due.
    SELECT e.id, row_number() OVER (ORDER BY e.next_attempt_at, e.seq)
      FROM (SELECT w.id, w.next_attempt_at, w.seq FROM public.booking_automation_events w
             WHERE w.event_type = 'webhook' AND w.status IN ('pending', 'sending') AND w.audience = $1
               AND w.next_attempt_at <= (SELECT at FROM clock) AND NOT (SELECT is_valid FROM turn_index)
             ORDER BY w.next_attempt_at, w.seq
             LIMIT (SELECT rows + $2 FROM size)) AS e
), chosen AS MATERIALIZED (
    -- The kinds take turns, in any order. There are more than fit, since others may hold some locked.
    SELECT id, turn, row_number() OVER (ORDER BY turn, random()) AS position FROM due
     ORDER BY position LIMIT (SELECT rows + $2 FROM size)
), locked AS MATERIALIZED (
    -- By an array of ids, since the planner expects few rows of an array and many of `chosen`.
    SELECT e.id, c.turn, e.seq, octet_length(e.event_data::text) AS bytes, e.status = 'sending' AND e.attempts >= $4 AS exhausted
      FROM chosen c
      JOIN public.booking_automation_events e ON e.id = c.id
     WHERE e.id = ANY (ARRAY(SELECT id FROM chosen))
       AND e.status IN ('pending', 'sending') AND e.next_attempt_at <= (SELECT at FROM clock)
     ORDER BY c.position
     LIMIT (SELECT rows FROM size)
       FOR UPDATE OF e SKIP LOCKED
), candidate AS MATERIALIZED (
    SELECT id, turn, exhausted
      FROM (SELECT id, turn, exhausted, sum(bytes) OVER w AS bytes, row_number() OVER w AS position
              FROM locked WINDOW w AS (ORDER BY turn, seq ROWS UNBOUNDED PRECEDING)) AS measured
     WHERE bytes <= $6 OR position = 1
), ended AS (
    UPDATE public.booking_automation_events e
       SET status = CASE WHEN s.not_told IS NULL THEN 'failed' ELSE 'skipped' END,
           reason = coalesce(s.not_told, 'unknown'),
           error_message = CASE WHEN e.status = 'sending' THEN 'the lease ran out: the endpoint may have accepted the message' ELSE e.error_message END,
           executed_at = coalesce($5, k.at), lease_until = NULL, next_attempt_at = NULL
      FROM candidate c, subscription s, clock k
     WHERE e.id = c.id AND (s.not_told IS NOT NULL OR c.exhausted)
       AND e.status IN ('pending', 'sending') AND e.next_attempt_at <= k.at
    RETURNING e.id, e.status
), claimed AS (
    -- The lease and the claim number are committed before the first request leaves. A row whose lease ran out had an
    -- unknown outcome.
    UPDATE public.booking_automation_events e
       SET status = 'sending', claim = e.claim + 1, attempts = e.attempts + 1, reason = NULL,
           lease_until = k.at + make_interval(secs => $3), next_attempt_at = k.at + make_interval(secs => $3),
           event_data = CASE WHEN e.status <> 'sending' THEN e.event_data
               ELSE public.booking_automation_with_attempt(e.event_data, public.booking_automation_lost_attempt(e.attempts)) END
      FROM candidate c, subscription s, clock k
     WHERE e.id = c.id AND s.not_told IS NULL AND NOT c.exhausted
       AND e.status IN ('pending', 'sending') AND e.next_attempt_at <= k.at
    RETURNING e.id, e.claim, e.attempts, e.message_id, e.event_data, e.seq, c.turn
)
-- One row per message, each with the page's figures; a page without messages is one row without an id.
SELECT (SELECT count(*) FROM ended WHERE status = 'skipped') AS skipped,
       (SELECT count(*) FROM ended WHERE status = 'failed') AS failed,
       (SELECT coalesce(array_agg(id), '{}') FROM ended) AS ended,
       extract(epoch FROM k.at)::float8 AS at, s.url, s.secret,
       claimed.id, claimed.claim, claimed.attempts, claimed.message_id, claimed.event_data
  FROM clock k
 CROSS JOIN subscription s
  LEFT JOIN claimed ON true
 ORDER BY claimed.turn, claimed.seq
