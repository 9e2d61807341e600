-- Records outcomes, each fenced by its claim: a row that another sender has claimed since is not changed.
--   $1 ids  $2 claims  $3 outcome: completed, pending, failed or released  $4 reasons  $5 errors
--   $6 the provider's message ids  $7 seconds to the next attempt  $8 the moment to decide by  $9 attempts, at most
--   $10 whether the recipient's time zone is missing or unknown  $11 as how many SMS it was sent
WITH reported AS (
    SELECT o.*, clock_timestamp() AS at, coalesce($8, clock_timestamp()) AS as_of,
           -- If this attempt failed or is unknown: the provider's event about this or an earlier attempt may show that
           -- it accepted the message.
           CASE WHEN o.outcome IN ('pending', 'failed')
                THEN public.booking_automation_settled_by(o.id)
           END AS settled_by
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[], $10::boolean[],
                  $11::integer[])
           AS o (id, claim, outcome, reason, error, message_id, wait, zone_unknown, parts)
), outcome AS (
    SELECT id, claim, at, as_of, wait, settled_by, zone_unknown, parts,
           CASE WHEN settled_by IS NULL THEN outcome ELSE 'completed' END AS outcome,
           CASE WHEN settled_by IS NULL THEN reason END AS reason,
           CASE WHEN settled_by IS NULL THEN error END AS error,
           coalesce(message_id, settled_by) AS message_id
      FROM reported
), judged AS (
    -- No attempt follows the last one, and none comes after the start, unless the message is about what comes after
    -- it: the message has failed.
    SELECT o.*,
           CASE
               WHEN o.outcome = 'released' THEN 'pending'
               WHEN o.outcome = 'pending' AND (e.attempts >= $9 OR {ends_before} o.as_of + make_interval(secs => o.wait)) THEN 'failed'
               ELSE o.outcome
           END AS status
      FROM outcome o
      JOIN public.booking_automation_events e ON e.id = o.id
), chained AS (
    -- A message that has failed goes by the next channel of its chain, unless an attempt may have reached the person.
    SELECT j.*,
           CASE WHEN j.status = 'failed' AND j.reason IS DISTINCT FROM 'unknown' AND NOT ({ends_before} j.as_of)
                 AND (e.event_data @> '{"attempts": [{"outcome": "unknown"}]}') IS NOT TRUE
                THEN {next_channel} END AS next_channel,
           jsonb_strip_nulls(jsonb_build_object('attempt', e.attempts, 'at', j.at,
               'outcome', CASE WHEN j.outcome = 'completed' THEN 'sent' ELSE j.reason END,
               'error', j.error, 'message_id', j.message_id, 'settled_by', nullif(j.settled_by IS NOT NULL, false),
               'zone_unknown', nullif(j.zone_unknown, false), 'parts', j.parts)) AS attempt
      FROM judged j
      JOIN public.booking_automation_events e ON e.id = j.id
), final AS (
    SELECT c.*, c.next_channel IS NOT NULL AS moves_on,
           CASE WHEN c.next_channel IS NULL THEN c.status ELSE 'pending' END AS new_status
      FROM chained c
){unsent}
UPDATE public.booking_automation_events e
   SET status = j.new_status, {set_via}
       reason = CASE WHEN NOT j.moves_on THEN j.reason END,
       error_message = CASE WHEN NOT j.moves_on THEN j.error END,
       message_id = coalesce(j.message_id, e.message_id),
       attempts = CASE WHEN j.moves_on THEN 0 ELSE e.attempts - (j.outcome = 'released')::integer END,
       lease_until = NULL,
       next_attempt_at = CASE WHEN j.moves_on THEN j.at WHEN j.status = 'pending' THEN j.at + make_interval(secs => j.wait) END,
       executed_at = CASE WHEN j.new_status <> 'pending' THEN j.as_of END,
       flag_due = j.status = 'completed' AND e.event_type = 'reminder_sent' AND public.booking_automation_has_flag(e.rule, e.audience),
       -- Every attempt is recorded.
       event_data = CASE
           WHEN j.outcome = 'released' THEN e.event_data
           {moved_on}
           ELSE public.booking_automation_with_attempt(e.event_data, j.attempt) END
  FROM final j
 WHERE e.id = j.id AND e.status = 'sending' AND e.claim = j.claim
RETURNING e.id, e.status, j.moves_on
