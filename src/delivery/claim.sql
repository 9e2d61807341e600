-- Claims a page of the outbox and reads booking, person and address again, in one statement whose snapshot is newer
-- than the lock on the channel's row.
--   $1 channel
--   $2 how many, at most
--   $3 messages per second, of all instances together
--   $4 seconds of the page: what cannot leave within them is not claimed
--   $5 seconds of the lease
--   $6 seconds that an unknown outcome waits for the provider's own event
--   $7 the moment to decide by (NULL: the clock)
--   $8 attempts, at most
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), pace AS MATERIALIZED (
    -- When the channel is free, and how many messages can leave within the page's time after that.
    SELECT k.at, coalesce($7, k.at) AS as_of, greatest(c.next_at, k.at) AS free_at, c.held_reason IS NOT NULL AS held,
           CASE WHEN c.next_at <= k.at THEN greatest(floor($3 * $4), 1)
                ELSE greatest(floor($3 * ($4 - extract(epoch FROM c.next_at - k.at)::float8)), 0)
           END AS room
      FROM clock k, booking_automation_channels c
     WHERE c.channel = $1
), candidate AS MATERIALIZED (
    -- New, retried and lease-expired rows, the most urgent start first.
    SELECT e.id
      FROM booking_automation_events e
     WHERE e.status IN ('pending', 'sending') AND e.event_type = 'reminder_sent' AND e.channel = $1
       AND e.starts_at IS NOT NULL -- webhook messages have none: they are last in the index
       AND e.next_attempt_at <= (SELECT at FROM clock)
     ORDER BY e.starts_at, e.seq
     -- While the account cannot send, one message tests whether it can again.
     LIMIT (SELECT least($2, room, CASE WHEN held THEN 1 END)::bigint FROM pace)
       FOR UPDATE SKIP LOCKED
), seen AS MATERIALIZED (
    -- The current state of each candidate.
    SELECT e.id, b.status AS booking_status,
           CASE
               WHEN b.id IS NULL THEN 'deleted'
               WHEN b.status IN ('in_progress', 'completed', 'expired') THEN 'started'
               WHEN b.status <> 'confirmed' THEN 'cancelled'
               WHEN b.scheduled_at <> e.starts_at OR coalesce(s.revision, 0) <> e.revision THEN 'rescheduled'
               WHEN b.scheduled_at <= p.as_of THEN 'started'
               WHEN r.name IS NULL OR NOT r.active OR NOT e.channel = ANY (r.channels) THEN 'rule_off'
               WHEN EXISTS (
                    -- A reminder nearer to the start is queued or sent.
                    SELECT FROM booking_automation_events nearer
                     WHERE nearer.event_type = 'reminder_sent' AND nearer.booking_id = e.booking_id
                       AND nearer.revision = e.revision AND nearer.audience = e.audience AND nearer.channel = e.channel
                       AND nearer.status IN ('pending', 'sending', 'completed')
                       AND booking_automation_supersedes(nearer.scheduled_at, nearer.rule, e.scheduled_at, e.rule)) THEN 'superseded'
               WHEN coalesce(btrim(c.email), '') = '' THEN 'no_address'
               WHEN EXISTS (
                    SELECT FROM booking_automation_suppressions x
                     WHERE x.address_hash = booking_automation_address_hash(k.inner_key, k.outer_key, c.email)) THEN 'suppressed'
           END AS not_due,
           e.status = 'sending' AND e.attempts >= $8 AS exhausted,
           -- The provider's events may have settled an earlier unknown outcome.
           booking_automation_settled_by(e.id) AS settled_by,
           -- Cast: the user's view may have other types.
           c.email::text, c.name::text, c.timezone::text, c.service::text, c.with_name::text, c.place::text, c.meeting_link::text,
           c.is_online::boolean, c.place_timezone::text,
           CASE WHEN isfinite(b.scheduled_at) THEN extract(epoch FROM b.scheduled_at - p.as_of)::float8 END AS seconds_left,
           least(greatest(b.duration_minutes, 0), 2147483647)::integer AS duration_minutes
      FROM candidate
      JOIN booking_automation_events e ON e.id = candidate.id
     CROSS JOIN pace p
      LEFT JOIN booking_automation_hash_key k ON true
      LEFT JOIN bookings b ON b.id = e.booking_id
      LEFT JOIN booking_automation_state s ON s.booking_id = e.booking_id
      LEFT JOIN reminder_rules r ON r.name = e.rule AND r.audience = e.audience
      LEFT JOIN LATERAL (
            -- One row, even if the view has several: a message is claimed once.
            SELECT * FROM booking_automation_contacts c WHERE c.booking_id = e.booking_id AND c.audience = e.audience LIMIT 1
           ) AS c ON true
), settled AS (
    -- The provider accepted an earlier attempt.
    UPDATE booking_automation_events e
       SET status = 'completed', reason = NULL, error_message = NULL, message_id = s.settled_by,
           flag_due = booking_automation_has_flag(e.rule, e.audience),
           event_data = booking_automation_with_attempt(e.event_data, booking_automation_settled_attempt(e.attempts, p.at, s.settled_by)),
           executed_at = p.as_of, lease_until = NULL, next_attempt_at = NULL
      FROM seen s, pace p
     WHERE e.id = s.id AND s.settled_by IS NOT NULL
       AND e.status IN ('pending', 'sending') AND e.next_attempt_at <= p.at
    RETURNING e.id
), ended AS (
    -- Final: no longer due, or all attempts are used.
    UPDATE booking_automation_events e
       SET status = CASE WHEN s.not_due IS NULL THEN 'failed' ELSE 'skipped' END,
           reason = coalesce(s.not_due, 'unknown'),
           error_message = CASE WHEN e.status = 'sending' THEN 'the lease ran out: the message may have been sent' ELSE e.error_message END,
           event_data = coalesce(e.event_data, '{}') || jsonb_strip_nulls(jsonb_build_object('booking_status', s.booking_status)),
           executed_at = p.as_of, lease_until = NULL, next_attempt_at = NULL
      FROM seen s, pace p
     WHERE e.id = s.id AND s.settled_by IS NULL AND (s.not_due IS NOT NULL OR s.exhausted)
       AND e.status IN ('pending', 'sending') AND e.next_attempt_at <= p.at
    RETURNING e.id, e.status, e.reason
), claimed AS (
    -- The lease and the claim number are committed before the first request leaves. A row whose lease ran out had an
    -- unknown outcome.
    UPDATE booking_automation_events e
       SET status = 'sending', claim = e.claim + 1, attempts = e.attempts + 1, reason = NULL,
           lease_until = p.at + make_interval(secs => $5),
           next_attempt_at = p.at + make_interval(secs => $5 + $6),
           event_data = CASE WHEN e.status <> 'sending' THEN e.event_data
               ELSE booking_automation_with_attempt(e.event_data, booking_automation_lost_attempt(e.attempts)) END
      FROM seen s, pace p
     WHERE e.id = s.id AND s.settled_by IS NULL AND s.not_due IS NULL AND NOT s.exhausted
       AND e.status IN ('pending', 'sending') AND e.next_attempt_at <= p.at
    RETURNING e.id, e.booking_id, e.claim, e.attempts, e.rule, e.audience, e.starts_at, e.seq,
              s.email, s.name, s.timezone, s.service, s.with_name, s.place, s.meeting_link, coalesce(s.is_online, false) AS is_online,
              s.place_timezone, s.seconds_left, s.duration_minutes
), paced AS (
    UPDATE booking_automation_channels c
       SET next_at = p.free_at + make_interval(secs => (SELECT count(*) FROM claimed) / $3)
      FROM pace p
     WHERE c.channel = $1
)
-- One row per message, each with the page's figures; a page without messages is one row without an id.
SELECT extract(epoch FROM p.free_at - p.at)::float8 AS free_in, p.room::float8 AS room, p.held,
       (SELECT count(*) FROM ended WHERE status = 'skipped') AS skipped,
       (SELECT count(*) FROM ended WHERE status = 'failed') AS failed,
       (SELECT count(*) FROM settled) AS settled,
       (SELECT coalesce(array_agg(id), '{}') FROM (SELECT id FROM ended UNION ALL SELECT id FROM settled) AS final) AS ended,
       claimed.id, claimed.booking_id, claimed.claim, claimed.attempts, claimed.rule, claimed.audience, claimed.starts_at,
       claimed.email, claimed.name, claimed.timezone, claimed.service, claimed.with_name, claimed.place, claimed.meeting_link,
       claimed.is_online, claimed.place_timezone, claimed.seconds_left, claimed.duration_minutes
  FROM pace p
  LEFT JOIN claimed ON true
 ORDER BY claimed.starts_at, claimed.seq
