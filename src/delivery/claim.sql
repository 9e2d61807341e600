-- Claims a page of the outbox and reads the bookings again, in one statement whose snapshot is newer than the lock on
-- the channel's row. Persons and addresses were read just before: see contacts.sql.
--   $1 channel
--   $2 messages per second, of all instances together
--   $3 seconds of the page: what cannot leave within them is not claimed
--   $4 seconds of the lease
--   $5 seconds that an unknown outcome waits for the provider's own event
--   $6 the moment to decide by (NULL: the clock)
--   $7 attempts, at most
--   $8 the events that claim_candidates.sql locked  $9 their recipients' addresses  $10 hashes of their facts
--   $11 of the daily digests among them: the start of the day's last booking (NULL: there is none)
--   $12 the view's own names of their recipients (NULL: the booking's)
--   $13 the messages with guests among them, once for each guest  $14 the guests  $15 the ids by which these are erased
--   $16 whether the contacts view says that their recipients agreed to get SMS  $17 why an address cannot be used (NULL: it can)
--   $18 SMS to one person in a day, at most
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), pace AS MATERIALIZED (
    -- When the channel is free, and how many messages can leave within the page's time after that.
    SELECT k.at, coalesce($6, k.at) AS as_of, greatest(c.next_at, k.at) AS free_at, c.held_reason IS NOT NULL AS held,
           {room} AS room
      FROM clock k, {channel} AS c
     WHERE c.channel = $1
), candidate AS MATERIALIZED (
    SELECT * FROM unnest($8::uuid[], $9::text[], $10::bytea[], $11::timestamptz[], $12::text[], $16::boolean[], $17::text[])
                  AS candidate (id, address, facts, last_start, person_id, sms_allowed, unusable)
), asking AS MATERIALIZED (
    -- Rules whose reminders ask customers whether they will come. The column may be missing.
    SELECT rule.name FROM public.reminder_rules rule WHERE rule.audience = 'customer' AND to_jsonb(rule) ->> 'asks_attendance' = 'true'
), {seen} AS MATERIALIZED (
    -- The current state of each candidate.
    SELECT e.id, e.seq, e.status, e.attempts, {group_id} AS group_id, a.address, a.address_hash, a.tokens,
           e.next_attempt_at <= p.at AS is_ready,
           b.status AS booking_status,
           coalesce(
               CASE WHEN {is_digest} THEN NULL WHEN b.id IS NULL THEN 'deleted' WHEN NOT ({is_live}) THEN 'not_live' END,
               CASE
                   WHEN {is_digest} THEN {digest_not_due}
                   WHEN e.event_type = 'notification_sent' THEN notice.not_due
                   WHEN b.status IN ('in_progress', 'completed', 'expired') THEN 'started'
                   WHEN b.status IS DISTINCT FROM 'confirmed' THEN 'cancelled'
                   WHEN b.scheduled_at IS DISTINCT FROM e.starts_at OR schedule.revision <> e.revision THEN 'rescheduled'
                   WHEN b.scheduled_at <= p.as_of THEN 'started'
                   WHEN r.name IS NULL OR NOT r.active OR NOT {is_of_rule:r} THEN 'rule_off'
                   WHEN EXISTS (
                        -- A reminder nearer to the start is queued or sent, or was told before.
                        SELECT FROM ({own_reminders:nearer}
                                     UNION ALL
                                     -- The guests' follow when the first recipient's is claimed.
                                     SELECT first.* FROM public.booking_automation_events first
                                      WHERE {is_guest} AND first.booking_id = e.booking_id AND first.event_type = 'reminder_sent'
                                        AND first.status = 'pending') AS nearer
                         WHERE nearer.rule <> '' AND nearer.revision = e.revision AND nearer.audience = e.audience
                           AND {shares_channel:nearer}
                           -- One that may leave with another mail, and waits for its own time, does not count yet.
                           AND (nearer.status <> 'pending' OR nearer.scheduled_at <= p.as_of)
                           AND (nearer.status IN ('pending', 'sending', 'completed') OR nearer.reason = 'already_told')
                           AND public.booking_automation_supersedes(nearer.scheduled_at, nearer.rule, e.scheduled_at, e.rule)) THEN 'superseded'
                   WHEN EXISTS (
                        -- A message of this rule said the same. From it on, none that may have arrived said anything else,
                        -- or came back.
                        SELECT FROM ({own_reminders:told}) AS told
                         WHERE told.rule <> '' AND told.revision < e.revision AND told.rule = e.rule AND told.audience = e.audience
                           AND {shares_channel:told}
                           AND told.status = 'completed' AND told.event_data ->> 'told' = t.told
                           AND NOT EXISTS (SELECT {digests_between})
                           AND NOT EXISTS (
                                SELECT FROM ({own_messages:later}) AS later
                                 WHERE later.seq >= told.seq
                                   AND later.audience = e.audience AND {shares_channel:later} AND {may_have_arrived:later}
                                   AND (later.event_type <> e.event_type OR later.event_data ->> 'told' IS DISTINCT FROM t.told
                                        OR EXISTS (SELECT FROM public.booking_automation_feedback f
                                                    WHERE f.event_id = {mail:later} AND f.kind IN ('bounced', 'rejected', 'rendering_failed', 'undelivered'))))
                        ) THEN 'already_told'
               END,
               CASE
                   WHEN CASE
                            WHEN {is_digest} THEN 'digest'
                            WHEN e.event_type <> 'notification_sent' THEN 'reminder'
                            WHEN e.event_data -> 'notice' ->> 'on_event' = 'completed' THEN 'follow-up'
                            ELSE e.event_data -> 'notice' ->> 'on_event'
                        END = ANY (own.opt_outs) THEN 'opted_out'
               END) AS not_due,
           -- Why the person cannot be reached by this channel.
           CASE
               WHEN candidate.unusable = 'not_set_up' OR coalesce(btrim(a.address), '') = '' THEN coalesce(candidate.unusable, 'no_address')
               WHEN $1 <> ALL (own.channels) THEN 'not_chosen'
               {not_agreed}
               WHEN {can_be_suppressed} AND EXISTS (
                    -- Before `migrate`, none ends.
                    SELECT FROM (SELECT NULL::timestamptz AS until) AS endless
                     CROSS JOIN LATERAL (
                           SELECT FROM public.booking_automation_suppressions x
                            WHERE x.address_hash = a.address_hash AND (until IS NULL OR until > p.at)) AS x) THEN 'suppressed'
           END AS {unusable},
           -- The channel that follows. After an attempt that may have reached the person, none does.
           CASE WHEN NOT ({may_have_arrived:e}) THEN {next_channel} END AS next_channel,
           e.status = 'sending' AND e.attempts >= $7 AS exhausted,
           -- What is about no start ahead waits for the end of quiet hours.
           CASE WHEN e.status = 'pending' AND e.event_type = 'notification_sent' AND NOT {is_digest}
                     AND e.event_data -> 'notice' ->> 'on_event' IN ('expired', 'completed')
                THEN {quiet_until} END AS quiet_until,
           {quiet_since} AS quiet_since,
           -- The provider's events may have settled an earlier unknown outcome. Most messages have had no attempt.
           CASE WHEN e.attempts > 0 THEN public.booking_automation_settled_by(e.id) END AS settled_by,
           CASE WHEN isfinite(b.scheduled_at) THEN extract(epoch FROM b.scheduled_at - p.as_of)::float8 END AS seconds_left,
           least(greatest(b.duration_minutes, 0), 2147483647)::integer AS duration_minutes,
           CASE WHEN {is_digest} THEN candidate.last_start WHEN e.event_type = 'notification_sent' THEN b.scheduled_at ELSE e.starts_at END AS starts_at,
           notice.facts AS notice,
           schedule.revision, appointment.sequence, t.told, {is_guest} AS is_guest, who.person_id, own.language, own.timezone,
           e.event_type = 'reminder_sent' AND e.audience = 'customer' AND e.rule IN (SELECT name FROM asking) AS asks_attendance
      FROM candidate
      JOIN public.booking_automation_events e ON e.id = candidate.id
     CROSS JOIN pace p
      LEFT JOIN public.booking_automation_hash_key k ON true
      LEFT JOIN public.bookings b ON b.id = e.booking_id
      LEFT JOIN public.booking_automation_state s ON s.booking_id = e.booking_id
      LEFT JOIN public.reminder_rules r ON r.name = e.rule AND r.audience = e.audience
     CROSS JOIN LATERAL (SELECT coalesce(s.revision, {latest_revision}) AS revision OFFSET 0) AS schedule
     -- The recipient, and what they have chosen.
     CROSS JOIN (SELECT NULL::text AS customer_id, NULL::text AS provider_id) AS absent
     CROSS JOIN LATERAL (
           -- Columns that bookings may lack. Where it has them, the names mean its own.
           -- A guest is no other than the view says.
           SELECT coalesce(candidate.person_id, {own_person}, CASE WHEN NOT {is_guest} THEN booking.referred_id END) AS person_id,
                  booking.referred_id
             FROM (SELECT CASE WHEN e.audience = 'customer' THEN customer_id::text ELSE provider_id::text END AS referred_id
                     FROM (SELECT b.*) AS booking) AS booking
           OFFSET 0) AS who
     CROSS JOIN LATERAL ({preferences}) AS own
     -- Where it goes.
     CROSS JOIN LATERAL (
           SELECT address, tokens, public.booking_automation_address_hash(k.inner_key, k.outer_key, address) AS address_hash
             FROM {address} AS destination
           OFFSET 0) AS a
     -- What the message tells, and to whom: a keyed digest.
     CROSS JOIN LATERAL (
           SELECT encode(sha256(a.address_hash || candidate.facts
                                || convert_to(concat_ws(' ', extract(epoch FROM b.scheduled_at), b.duration_minutes), 'UTF8')), 'base64') AS told
           OFFSET 0) AS t
     -- The version of the appointment in the recipient's calendar, an INTEGER of RFC 5545. It grows with each change of the
     -- schedule, of what a message tells, and between REQUEST and CANCEL.
     CROSS JOIN LATERAL (
           SELECT CASE WHEN NOT {is_digest} THEN greatest(
                       2 * schedule.revision::bigint + {is_cancellation:e}::integer,
                       (SELECT {sequence:version} + CASE WHEN version.event_data ->> 'told' = t.told AND {is_cancellation:version} = {is_cancellation:e}
                                                   THEN 0 ELSE 1 END
                          FROM ({own_messages:version}) AS version
                         WHERE version.audience = e.audience AND {shares_channel:version} AND {sequence:version} IS NOT NULL
                         ORDER BY {sequence:version} DESC, version.seq DESC LIMIT 1)) END AS sequence
           OFFSET 0) AS appointment
      LEFT JOIN LATERAL ({notice}) AS notice ON true
), {limit_sms} due AS MATERIALIZED (
    -- Those of a group leave in one mail, if they have been tried together so far, and one of them is due by itself. The
    -- first one leads: it is the mail's tag at the provider.
    SELECT s.*, first_value(s.id) OVER (mail ORDER BY s.starts_at, s.seq) AS leader, bool_or(s.is_ready) OVER mail AS leaves
      FROM seen s
     WHERE s.settled_by IS NULL AND s.not_due IS NULL AND s.unusable IS NULL AND NOT s.exhausted AND s.quiet_until IS NULL
       AND (s.is_ready OR s.status = 'pending')
    WINDOW mail AS (PARTITION BY s.group_id, s.status, s.attempts, s.address, s.person_id)
), test AS MATERIALIZED (
    -- While the account cannot send, one message tests whether it can again. The others are only judged.
    SELECT s.leader FROM due s WHERE s.leaves ORDER BY s.starts_at, s.seq LIMIT 1
), settled AS (
    -- The provider accepted an earlier attempt.
    UPDATE public.booking_automation_events e
       SET status = 'completed', reason = NULL, error_message = NULL, message_id = s.settled_by,
           flag_due = e.event_type = 'reminder_sent' AND public.booking_automation_has_flag(e.rule, e.audience),
           event_data = public.booking_automation_with_attempt(e.event_data, public.booking_automation_settled_attempt(e.attempts, p.at, s.settled_by)),
           executed_at = p.as_of, lease_until = NULL, next_attempt_at = NULL
      FROM seen s, pace p
     WHERE e.id = s.id AND s.settled_by IS NOT NULL
       AND e.status IN ('pending', 'sending') AND e.next_attempt_at IS NOT NULL AND (s.is_ready OR s.status = 'pending')
    RETURNING e.id
), ended AS (
    -- Final: no longer due, or all attempts are used. What is not due yet is left out of its mail, and ends at its time.
    UPDATE public.booking_automation_events e
       SET status = CASE WHEN s.not_due IS NULL AND s.unusable IS NULL THEN 'failed' ELSE 'skipped' END,
           reason = CASE WHEN s.not_due = 'started' AND s.unusable = 'not_set_up' THEN s.unusable
                         ELSE coalesce(s.not_due, s.unusable, 'unknown') END,
           error_message = CASE WHEN e.status = 'sending' THEN 'the lease ran out: the message may have been sent' ELSE e.error_message END,
           event_data = coalesce(e.event_data, '{}') || jsonb_strip_nulls(jsonb_build_object('booking_status', s.booking_status)),
           executed_at = p.as_of, lease_until = NULL, next_attempt_at = NULL
      FROM seen s, pace p
     WHERE e.id = s.id AND s.settled_by IS NULL
       AND (s.not_due IS NOT NULL OR s.exhausted
            OR s.unusable IS NOT NULL AND s.next_channel IS NULL AND (s.unusable <> 'not_set_up' OR s.status = 'sending'))
       AND e.status IN ('pending', 'sending') AND e.next_attempt_at <= p.at
    RETURNING e.id, e.status, e.reason
), {move_on}, postponed AS (
    UPDATE public.booking_automation_events e
       SET next_attempt_at = p.at + (s.quiet_until - p.as_of),
           event_data = e.event_data || jsonb_build_object('quiet_hours', jsonb_build_object('until', s.quiet_until))
      FROM seen s, pace p
     WHERE e.id = s.id AND s.settled_by IS NULL AND s.not_due IS NULL AND s.unusable IS NULL AND s.quiet_until IS NOT NULL
       AND e.status = 'pending' AND e.next_attempt_at <= p.at
    RETURNING e.id
), waits AS (
    -- The channel is not set up here, and none follows: another instance may have it, or this one after its next start.
    UPDATE public.booking_automation_events e
       SET next_attempt_at = p.at + interval '5 minutes', reason = s.unusable
      FROM seen s, pace p
     WHERE e.id = s.id AND s.settled_by IS NULL AND s.not_due IS NULL AND NOT s.exhausted
       AND s.unusable = 'not_set_up' AND s.next_channel IS NULL AND e.status = 'pending' AND e.next_attempt_at <= p.at
    RETURNING e.id
), claimed AS (
    -- The lease and the claim number are committed before the first request leaves. A row whose lease ran out had an
    -- unknown outcome.
    UPDATE public.booking_automation_events e
       SET status = 'sending', claim = e.claim + 1, attempts = e.attempts + 1, reason = NULL, {set_leader}
           -- What a notice tells now.
           starts_at = s.starts_at, revision = s.revision,
           lease_until = p.at + make_interval(secs => $4),
           next_attempt_at = p.at + make_interval(secs => $4 + $5),
           event_data = coalesce(CASE WHEN e.status <> 'sending' THEN e.event_data
               ELSE public.booking_automation_with_attempt(e.event_data, public.booking_automation_lost_attempt(e.attempts)) END, '{}')
               -- Stored before the request leaves. Attempts that tell different things have no digest.
               || jsonb_build_object('told', CASE WHEN e.attempts = 0 OR e.event_data ->> 'told' = s.told THEN s.told END)
               || CASE WHEN s.sequence IS NULL THEN '{}' ELSE jsonb_build_object('sequence', s.sequence) END
               || CASE WHEN s.notice IS NULL THEN '{}' ELSE jsonb_build_object('notice', s.notice) END
               || CASE WHEN s.quiet_since IS NULL THEN '{}'
                       ELSE jsonb_build_object('quiet_hours', jsonb_build_object('from', s.quiet_since, 'moved', false)) END
      FROM due s, pace p
     WHERE e.id = s.id AND s.leaves AND (NOT p.held OR s.leader = (SELECT leader FROM test)) AND e.status IN ('pending', 'sending') AND e.next_attempt_at IS NOT NULL
    RETURNING e.id, s.leader, e.booking_id, e.claim, e.attempts, e.rule, e.audience, e.starts_at, e.seq,
              s.seconds_left, s.duration_minutes, s.sequence, s.notice, s.is_guest, s.person_id, s.language, s.timezone,
              s.asks_attendance, s.address, s.address_hash, s.tokens
), {enqueue_guests}, {remember_sms} paced AS (
    UPDATE public.booking_automation_channels c
       SET next_at = p.free_at + make_interval(secs => (SELECT count(*) FROM claimed WHERE id = leader) / $2)
      FROM pace p
     WHERE c.channel = $1
)
-- One row per message, each with the page's figures; a page without messages is one row without an id.
SELECT extract(epoch FROM p.free_at - p.at)::float8 AS free_in, p.room::float8 AS room, p.held,
       (SELECT count(*) FROM ended WHERE status = 'skipped') AS skipped,
       (SELECT count(*) FROM ended WHERE status = 'failed') AS failed,
       (SELECT count(*) FROM settled) AS settled,
       (SELECT count(*) FROM (SELECT FROM postponed UNION ALL SELECT FROM waits) AS later) AS postponed,
       (SELECT count(*) FROM moved_on) AS moved_on,
       (SELECT coalesce(array_agg(id), '{}') FROM (SELECT id FROM ended UNION ALL SELECT id FROM settled UNION ALL SELECT id FROM moved_on) AS final) AS ended,
       claimed.id, claimed.leader, claimed.booking_id, claimed.claim, claimed.attempts, claimed.rule, claimed.audience, claimed.starts_at,
       claimed.seconds_left, claimed.duration_minutes, claimed.sequence, claimed.notice, claimed.is_guest, claimed.person_id,
       claimed.language, claimed.timezone, claimed.asks_attendance, claimed.address, claimed.tokens, p.as_of
  FROM pace p
  LEFT JOIN claimed ON true
 -- Who leads comes first of its mail.
 ORDER BY claimed.starts_at <= p.as_of, claimed.starts_at, claimed.seq
