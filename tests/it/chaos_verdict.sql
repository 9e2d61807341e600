-- The evaluation, after the run. $expire, $complete, $lease and $back_off are durations. The tables are the test's own.
-- Violations are rows of chaos_offences.

-- The changes of status or start of each booking, with the time of their commit and the next change.
CREATE TABLE chaos_changes AS
SELECT *, lead(at) OVER booking AS next_at, lead(committed_at) OVER booking AS next_committed_at,
       lag(ours) OVER booking AS before_ours, lag(old_status) OVER booking AS before_old, lag(new_status) OVER booking AS before_new
  FROM (SELECT *, pg_xact_commit_timestamp(xmin) AS committed_at FROM chaos_history) AS h
 WHERE operation <> 'UPDATE' OR old_status IS DISTINCT FROM new_status OR old_start IS DISTINCT FROM new_start
WINDOW booking AS (PARTITION BY booking_id ORDER BY seq);

-- A mail may list several bookings: each is a request about the message that was claimed in that mail.
CREATE INDEX ON chaos_claims (event_id, at);
ANALYZE chaos_claims, chaos_requests, chaos_reach, chaos_calls, booking_automation_events;
CREATE TABLE chaos_listed AS
SELECT q.number, q.booking_id, c.event_id, c.xmin::text AS claimed_by
  FROM chaos_requests q
  JOIN booking_automation_events l ON l.id = q.leader
  JOIN booking_automation_events e
    ON e.booking_id = q.booking_id AND e.event_type = l.event_type AND e.rule = l.rule AND e.audience = l.audience
   AND e.recipient = l.recipient AND (e.id = l.id OR l.booking_id <> q.booking_id)
 CROSS JOIN LATERAL (
        SELECT c.event_id, c.xmin FROM chaos_claims c
         WHERE c.event_id = e.id AND c.leader = q.leader AND c.new_status = 'sending' AND c.life = q.life AND c.at <= q.at
         ORDER BY c.at DESC LIMIT 1) AS c
 WHERE q.channel = 'email';
UPDATE chaos_requests q SET event_id = l.event_id FROM chaos_listed l WHERE l.number = q.number AND l.booking_id = q.booking_id;

-- What people had chosen, and until when.
CREATE TABLE chaos_unwanted AS
SELECT person_id, wanted, at, committed_at, lead(committed_at) OVER person AS next_at
  FROM (SELECT *, pg_xact_commit_timestamp(xmin) AS committed_at FROM chaos_choices) AS c
WINDOW person AS (PARTITION BY person_id ORDER BY seq);
DELETE FROM chaos_unwanted WHERE wanted;
CREATE INDEX ON chaos_unwanted (person_id);

-- The periods in which a booking was confirmed for one start: each period has its own reminders. A booking that is made after
-- its start needs no reminder; a period that began less than an hour after the start counts, since a fast clock can cause it.
CREATE TABLE chaos_episodes AS
SELECT row_number() OVER (PARTITION BY booking_id ORDER BY seq)::integer AS revision, booking_id, new_start AS starts_at, email, person_id,
       at AS since, committed_at AS since_committed,
       next_at, next_committed_at, least(coalesce(next_at, 'infinity'), new_start) AS until
  FROM chaos_changes
 WHERE new_status = 'confirmed' AND (operation = 'UPDATE' OR new_start > at - interval '1 hour');
CREATE UNIQUE INDEX ON chaos_episodes (booking_id, revision);

CREATE TABLE chaos_passes AS SELECT as_of FROM automation_runs WHERE outcome = 'completed';
CREATE INDEX ON chaos_passes (as_of);
CREATE INDEX ON chaos_requests (event_id);
ANALYZE chaos_changes, chaos_episodes, chaos_passes, chaos_requests, booking_automation_events, bookings, automation_runs;

-- The recorded attempts of each message, and the requests that arrived. A push message to several devices is one: the
-- device counts that accepted it most often.
CREATE TABLE chaos_messages AS
SELECT e.*, coalesce(e.via, split_part(e.channel, '>', 1)) AS used,
       reverse(split_part(reverse(e.channel), '>', 1)) AS last_channel, coalesce(e.event_data ? 'follows', false) AS follows,
       coalesce(taken, 0) AS taken, coalesce(requests, 0) AS requests, rejected,
       (SELECT count(*) FROM jsonb_array_elements(event_data -> 'attempts') AS a WHERE a ->> 'outcome' = 'sent') AS told_sent,
       -- Attempts that were or may have been sent: a doubt that is settled later counts once.
       (SELECT count(DISTINCT a ->> 'attempt') FROM jsonb_array_elements(event_data -> 'attempts') AS a
         WHERE a ->> 'outcome' IN ('sent', 'unknown'))
           + (status IN ('failed', 'skipped') AND coalesce(error_message, '') LIKE 'the lease ran out%')::integer AS accounted
  FROM booking_automation_events e
  LEFT JOIN LATERAL (
        SELECT sum(q.taken)::bigint AS taken, sum(q.requests)::bigint AS requests, bool_or(q.rejected) AS rejected
          FROM (SELECT channel, max(taken) AS taken, sum(requests) AS requests, bool_or(rejected) AS rejected
                  FROM (SELECT q.channel, q.target, count(*) FILTER (WHERE q.taken) AS taken, count(*) AS requests,
                               bool_or(q.answer IN ('rejected', 'device without the app')) AS rejected
                          FROM chaos_requests q WHERE q.event_id = e.id GROUP BY q.channel, q.target) AS by_target
                 GROUP BY channel) AS q) AS q ON true
 WHERE event_type IN ('reminder_sent', 'guest_reminder_sent', 'notification_sent');
CREATE INDEX ON chaos_messages (booking_id, revision, rule, audience);
CREATE INDEX ON chaos_messages (id);
CREATE INDEX ON chaos_messages (about);
ANALYZE chaos_messages;
CREATE VIEW chaos_reminders AS SELECT * FROM chaos_messages WHERE event_type IN ('reminder_sent', 'guest_reminder_sent');

-- Messages of a first recipient that were claimed, or ended when they were to be claimed for a reason that is about them alone:
-- a guest of the booking must have one, too.
CREATE TABLE chaos_guests AS
SELECT m.* FROM chaos_messages m
 WHERE m.recipient = '' AND m.audience = 'customer' AND NOT m.follows AND chaos_has_guest(m.booking_id)
   AND EXISTS (SELECT FROM chaos_claims c
                WHERE c.event_id = m.id
                  AND (c.new_status = 'sending'
                       -- It went on to the next channel. One whose channel is held does so without being looked at.
                       OR c.new_status = 'pending' AND c.old_status = 'pending' AND c.moved <> 'held'
                       OR c.new_status = 'skipped' AND m.reason IN ('no_address', 'not_agreed', 'over_limit', 'opted_out', 'suppressed',
                                                                    'superseded', 'already_told')));

-- A reminder is expected if the booking was confirmed, and the reminder due, for three passes and a second.
CREATE TABLE chaos_owed AS
WITH first AS (
    SELECT e.*, r.name AS rule, r.audience, r.channel, r.lead, e.starts_at - r.lead AS due_at
      FROM chaos_episodes e
     CROSS JOIN (SELECT name, audience, lead, unnest(channels) AS channel FROM reminder_rules) AS r
     CROSS JOIN LATERAL (
            SELECT p.as_of FROM chaos_passes p
             WHERE p.as_of >= greatest(e.starts_at - r.lead, e.since_committed) ORDER BY p.as_of OFFSET 2 LIMIT 1) AS third
     WHERE third.as_of + interval '1 second' < e.until
)
SELECT first.*, '' AS recipient FROM first
UNION ALL
SELECT o.revision, o.booking_id, o.starts_at, 'guest', NULL, o.since, o.since_committed, o.next_at, o.next_committed_at, o.until,
       o.rule, o.audience, o.channel, o.lead, o.due_at, 'guest'
  FROM first o
  JOIN chaos_guests g
    ON g.event_type = 'reminder_sent' AND g.booking_id = o.booking_id AND g.revision = o.revision AND g.rule = o.rule AND g.audience = o.audience
   AND g.channel = o.channel;
ANALYZE chaos_guests, chaos_owed;

-- Whether each expected reminder has an outcome that the history justifies.
CREATE TABLE chaos_judged AS
SELECT o.*, r.id AS event_id, r.status, r.reason, r.taken, r.executed_at,
       CASE
           WHEN r.id IS NULL THEN 'no row'
           WHEN r.starts_at <> o.starts_at THEN 'for another start'
           WHEN r.status = 'completed' AND r.taken = 0 THEN 'said to be sent, and never taken'
           WHEN r.status = 'completed' THEN NULL
           WHEN r.reason IN ('rejected', 'number_opted_out', 'too_expensive', 'no_device', 'other_sender', 'bad_address', 'no_address', 'not_agreed',
                             'over_limit', 'suppressed') AND r.used <> r.last_channel
                -- After an attempt that may have arrived, it stays with its channel.
                AND r.accounted = 0 THEN r.reason || ' by ' || r.used || ' of ' || r.channel
           WHEN r.status = 'failed' AND r.reason IN ('rejected', 'number_opted_out', 'too_expensive', 'no_device', 'other_sender') AND r.rejected THEN NULL
           WHEN r.status = 'failed' AND r.reason = 'bad_address' AND r.used = 'email' AND o.audience = 'customer' AND o.email = 'not an address' THEN NULL
           -- The view cannot be read for some people.
           WHEN r.status = 'failed' AND r.reason = 'contacts' AND o.audience = 'customer' AND o.email LIKE 'failing-%'
                AND (r.attempts = 5 OR r.executed_at > o.starts_at - $back_off * 8) THEN NULL
           WHEN r.status = 'failed' AND r.reason IN ('throttled', 'unreachable', 'limit', 'unknown')
                AND (r.attempts = 5 OR r.executed_at > o.starts_at - $back_off * 8) THEN NULL
           WHEN r.status = 'skipped' THEN
               CASE r.reason
                   WHEN 'booked_late' THEN CASE
                       WHEN o.since + interval '1 second' > o.due_at AND o.starts_at - r.executed_at < o.lead * 2 / 3 THEN NULL ELSE 'not booked late' END
                   WHEN 'superseded' THEN CASE
                       WHEN EXISTS (SELECT FROM chaos_reminders n JOIN reminder_rules x ON x.name = n.rule AND x.audience = n.audience
                                     WHERE n.booking_id = o.booking_id AND n.revision = o.revision AND n.audience = o.audience
                                       AND string_to_array(n.channel, '>') && string_to_array(o.channel, '>')
                                       AND x.lead < o.lead AND o.starts_at - x.lead <= r.executed_at
                                       AND n.reason IS DISTINCT FROM 'booked_late') THEN NULL ELSE 'not superseded' END
                   WHEN 'already_told' THEN CASE
                       WHEN EXISTS (SELECT FROM chaos_reminders t
                                     WHERE t.booking_id = o.booking_id AND t.rule = o.rule AND t.audience = o.audience AND t.recipient = o.recipient
                                       AND t.revision < o.revision AND t.starts_at = o.starts_at AND t.status = 'completed'
                                       AND t.used = ANY (string_to_array(o.channel, '>'))
                                       AND NOT EXISTS (SELECT FROM chaos_reminders n
                                                        WHERE n.booking_id = t.booking_id AND n.audience = t.audience AND n.recipient = t.recipient
                                                          AND n.used = ANY (string_to_array(o.channel, '>'))
                                                          AND n.revision BETWEEN t.revision AND o.revision
                                                          AND n.starts_at <> t.starts_at AND n.taken > 0)) THEN NULL ELSE 'not told before' END
                   WHEN 'no_address' THEN CASE
                       WHEN o.audience <> 'customer' THEN 'has an address'
                       WHEN r.used = 'email' AND o.email IS NULL THEN NULL
                       -- Guests have neither.
                       WHEN r.used <> 'email' AND o.recipient <> '' THEN NULL
                       WHEN r.used = 'sms' AND reach.phone IS NULL THEN NULL
                       -- FCM may have said that the app is gone.
                       WHEN r.used = 'push' AND NOT EXISTS (SELECT FROM unnest(reach.devices) AS device WHERE device NOT LIKE 'gone-%') THEN NULL
                       ELSE 'has an address' END
                   WHEN 'not_agreed' THEN CASE WHEN r.used = 'sms' AND NOT reach.agreed THEN NULL ELSE 'has agreed' END
                   WHEN 'over_limit' THEN CASE
                       WHEN r.used = 'sms' AND (SELECT count(*) FROM chaos_requests q WHERE q.channel = 'sms' AND q.target = reach.phone) > 90
                       THEN NULL ELSE 'not over the limit' END
                   WHEN 'opted_out' THEN CASE
                       WHEN o.audience = 'customer' AND EXISTS (
                            SELECT FROM chaos_unwanted u
                             WHERE u.person_id = o.person_id AND u.at <= r.executed_at
                               AND r.executed_at <= coalesce(u.next_at, 'infinity') + interval '5 seconds') THEN NULL ELSE 'not opted out' END
                   WHEN 'suppressed' THEN CASE
                       WHEN o.audience = 'customer' AND r.used = 'email' AND o.email LIKE 'bounces-%' THEN NULL ELSE 'not suppressed' END
                   WHEN 'started' THEN CASE
                       WHEN r.executed_at >= o.starts_at OR o.next_at <= r.executed_at THEN NULL ELSE 'not started' END
                   WHEN 'cancelled' THEN CASE WHEN o.next_at <= r.executed_at THEN NULL ELSE 'not cancelled' END
                   WHEN 'rescheduled' THEN CASE WHEN o.next_at <= r.executed_at THEN NULL ELSE 'not rescheduled' END
                   WHEN 'deleted' THEN CASE WHEN o.next_at <= r.executed_at THEN NULL ELSE 'not deleted' END
                   ELSE 'skipped: ' || coalesce(r.reason, 'for no reason')
               END
           ELSE r.status || ' ' || coalesce(r.reason, '')
       END AS lost
  FROM chaos_owed o
  LEFT JOIN chaos_reminders r
    ON r.booking_id = o.booking_id AND r.revision = o.revision AND r.rule = o.rule AND r.audience = o.audience
   AND r.recipient = o.recipient AND r.channel = o.channel
  LEFT JOIN chaos_reach reach ON reach.person_id = o.person_id;

-- The program's status changes, and whether the rules allow each.
CREATE TABLE chaos_transitions AS
SELECT c.*, u.unblocked_at,
       CASE
           WHEN operation <> 'UPDATE' OR old_start IS DISTINCT FROM new_start OR old_blocked IS DISTINCT FROM new_blocked THEN false
           WHEN old_status IN ('confirmed', 'in_progress') AND new_status = 'expired' THEN overdue AND new_blocked IS NOT TRUE
           WHEN old_status = 'confirmed' AND new_status = 'in_progress' THEN new_start <= as_of AND NOT (overdue AND new_blocked IS NOT TRUE)
           WHEN old_status = 'in_progress' AND new_status = 'completed' THEN
               ends_at + $complete <= as_of AND new_blocked IS NOT TRUE AND NOT overdue
           WHEN old_status = 'in_progress' AND new_status = 'confirmed' THEN new_start > as_of
           ELSE false
       END AS allowed
  FROM chaos_changes c
 CROSS JOIN LATERAL (
        SELECT max(at) AS unblocked_at FROM chaos_history h
         WHERE h.booking_id = c.booking_id AND h.seq < c.seq AND old_blocked AND new_blocked IS NOT TRUE) AS u
 -- A booking whose step was refused is tried again a minute later: it was not lost sight of, and does not expire meanwhile.
 CROSS JOIN LATERAL (
        SELECT greatest(ends_at, unblocked_at) + $expire <= as_of AND NOT (chaos_is_bad(c.booking_id) AND EXISTS (
                   SELECT FROM booking_automation_events f
                    WHERE f.booking_id = c.booking_id AND f.event_type = 'status_update' AND f.status = 'failed'
                      AND f.event_data ->> 'from' = c.old_status AND f.event_data ->> 'to' <> 'expired'
                      AND f.executed_at < c.as_of)) AS overdue) AS o
 WHERE ours;
CREATE INDEX ON chaos_transitions (booking_id);
ANALYZE chaos_transitions;

CREATE TABLE chaos_offences (invariant text, what text, detail text);

INSERT INTO chaos_offences
SELECT 'I1', 'lost: ' || lost, format('%s %s %s of %s', booking_id, revision, rule, starts_at) FROM chaos_judged WHERE lost IS NOT NULL;
INSERT INTO chaos_offences
SELECT 'I1', 'a message to a guest that is missing, or has no other one', format('%s %s of %s', booking_id, rule, about)
  FROM (SELECT booking_id, CASE WHEN about IS NULL THEN revision ELSE 0 END AS revision, rule, channel, coalesce(about, booking_id) AS about, id
          FROM chaos_guests) AS f
  -- Each claim of a notice gives it the revision of that moment.
  FULL JOIN (SELECT booking_id, CASE WHEN about IS NULL THEN revision ELSE 0 END AS revision, rule, channel, coalesce(about, booking_id) AS about, id
               FROM chaos_messages WHERE recipient <> '' AND NOT follows) AS g
 USING (booking_id, revision, rule, channel, about)
 WHERE f.id IS NULL OR g.id IS NULL;
INSERT INTO chaos_offences
SELECT 'I1', 'not ended', format('%s %s', id, status)
  FROM chaos_messages
 -- A reminder that was to leave with another one may wait for its own time.
 WHERE status IN ('pending', 'sending') AND scheduled_at <= (SELECT max(as_of) FROM chaos_passes);

-- By key and not by row: a second row with the same key is also a second message.
INSERT INTO chaos_offences
SELECT 'I2', 'sent more often than the record has doubts', format('%s %s %s %s: %s taken', booking_id, revision, rule, audience, sum(taken))
  FROM chaos_messages GROUP BY booking_id, revision, rule, audience, recipient, channel, about HAVING sum(taken) > sum(accounted);
INSERT INTO chaos_offences
SELECT 'I2', 'told to be sent more than once', format('%s: %s', id, event_data -> 'attempts') FROM chaos_messages WHERE told_sent > 1;
INSERT INTO chaos_offences
SELECT 'I2', 'a key enqueued twice', format('%s %s %s %s', booking_id, revision, rule, audience)
  FROM chaos_messages GROUP BY booking_id, revision, rule, audience, recipient, channel, about HAVING count(*) > 1;
INSERT INTO chaos_offences
SELECT 'I2', 'an attempt that is not on record', format('%s: %s of %s', id, jsonb_array_length(event_data -> 'attempts'), attempts)
  FROM chaos_messages
 WHERE coalesce(jsonb_array_length(event_data -> 'attempts'), 0)
       + (status IN ('failed', 'skipped') AND coalesce(error_message, '') LIKE 'the lease ran out%')::integer < attempts;
INSERT INTO chaos_offences
SELECT 'I2', 'sent without a row, or with another booking in it', format('%s %s', q.event_id, q.booking_id)
  FROM chaos_requests q LEFT JOIN chaos_messages r ON r.id = q.event_id WHERE r.id IS NULL OR r.booking_id <> q.booking_id;

-- A mail lists all that was claimed for it, and nothing else.
CREATE INDEX ON chaos_claims (leader);
INSERT INTO chaos_offences
SELECT 'I2', 'a mail that lists something else than was claimed for it', format('%s: %s of %s', q.leader, l.listed, c.claimed)
  FROM (SELECT number, min(claimed_by) AS claimed_by, count(*) AS listed FROM chaos_listed GROUP BY number) AS l
  JOIN (SELECT DISTINCT number, leader FROM chaos_requests WHERE NOT stopped) AS q USING (number)
 CROSS JOIN LATERAL (
        SELECT count(DISTINCT c.event_id) AS claimed FROM chaos_claims c
         WHERE c.leader = q.leader AND c.xmin::text = l.claimed_by AND c.new_status = 'sending') AS c
 WHERE l.listed <> c.claimed;
-- Who opted out gets no reminder, except within five seconds.
INSERT INTO chaos_offences
SELECT 'sent', 'sent to somebody who had opted out', format('%s at %s, chosen at %s', r.id, q.at, u.committed_at)
  FROM chaos_requests q
  JOIN chaos_reminders r ON r.id = q.event_id AND r.audience = 'customer' AND r.recipient = ''
  JOIN chaos_episodes e ON e.booking_id = r.booking_id AND e.revision = r.revision
  JOIN chaos_unwanted u ON u.person_id = e.person_id
 WHERE NOT q.stopped AND q.at > u.committed_at + interval '5 seconds' AND q.at < coalesce(u.next_at, 'infinity');

-- Notices: each cancellation has one, unless too many in one transaction are held.
INSERT INTO chaos_offences
SELECT 'I1', 'no notice of a cancellation', format('%s %s', t.booking_id, t.id)
  FROM booking_automation_events t
 WHERE t.event_type = 'status_update' AND t.status = 'completed' AND t.event_data ->> 'to' = 'cancelled'
   AND NOT EXISTS (SELECT FROM chaos_messages n WHERE n.about = t.id AND n.rule = 'cancelled')
   AND NOT EXISTS (SELECT FROM booking_automation_notices h WHERE h.event_id = t.id AND h.held_since IS NOT NULL);
INSERT INTO chaos_offences
SELECT 'sent', 'a notice that did not fit the booking', format('%s at %s: %s of %s', n.id, q.at, n.rule, n.booking_id)
  FROM chaos_requests q
  JOIN chaos_messages n ON n.id = q.event_id AND n.event_type = 'notification_sent'
 WHERE NOT q.stopped AND NOT EXISTS (
        SELECT FROM chaos_changes c
         WHERE c.booking_id = n.booking_id AND c.new_status = CASE n.rule WHEN 'cancelled' THEN 'cancelled' ELSE 'confirmed' END
           AND q.at >= c.at AND q.at <= coalesce(c.next_committed_at, 'infinity') + interval '5 seconds');

-- During a lease no other instance claims the message, and only the claimer records its outcome. A push message and one to a
-- webhook are claimed again as soon as their lease is over, which began before the trigger of this table saw it; others wait
-- for longer.
CREATE FUNCTION chaos_leased_until(claim chaos_claims) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT claim.at + $lease - CASE WHEN claim.channel IN ('webhook', 'push') THEN interval '2 seconds' ELSE '0' END
$$;
CREATE INDEX ON chaos_claims (event_id, new_claim) WHERE new_status = 'sending';
ANALYZE chaos_claims;
INSERT INTO chaos_offences
SELECT 'I2', 'claimed under the lease of another', format('%s: %s after %s, by %s', c.event_id, c.at - h.at, h.life, c.life)
  FROM chaos_claims c
  JOIN chaos_claims h ON h.event_id = c.event_id AND h.new_claim = c.old_claim AND h.new_status = 'sending'
 WHERE c.old_status = 'sending' AND c.new_status = 'sending' AND c.at < chaos_leased_until(h);
INSERT INTO chaos_offences
SELECT 'I3', 'a stale outcome written over a newer claim', format('%s: %s -> %s by %s, claimed by %s', c.event_id, c.old_status, c.new_status, c.life, h.life)
  FROM chaos_claims c
  JOIN chaos_claims h ON h.event_id = c.event_id AND h.new_claim = c.old_claim AND h.new_status = 'sending'
 WHERE c.old_status = 'sending' AND c.new_status <> 'sending' AND c.life <> h.life AND c.at < chaos_leased_until(h);
INSERT INTO chaos_offences
SELECT 'I3', 'a final state left', format('%s: %s -> %s', event_id, old_status, new_status)
  FROM chaos_claims
 -- A failed message may turn out to have been sent.
 WHERE old_status IN ('completed', 'skipped') OR old_status = 'failed' AND new_status <> 'completed';
INSERT INTO chaos_offences
SELECT 'I2', 'a request without a claim of its sender''s, or past its lease', format('%s at %s by %s', q.event_id, q.at, q.life)
  FROM chaos_requests q
 WHERE NOT q.stopped AND NOT EXISTS (
        SELECT FROM chaos_claims c
         WHERE c.event_id = q.event_id AND c.new_status = 'sending' AND c.life = q.life
           AND q.at BETWEEN c.at AND c.at + $lease + interval '5 seconds');

-- No message is sent for an old state, except within five seconds after the change.
INSERT INTO chaos_offences
SELECT 'sent', 'sent when it was not due',
       format('%s at %s: %s by %s of %s, start %s, which ended %s', r.id, q.at, r.rule, q.channel, r.channel, e.starts_at, e.next_committed_at)
  FROM chaos_requests q
  JOIN chaos_reminders r ON r.id = q.event_id
  LEFT JOIN reminder_rules x ON x.name = r.rule AND x.audience = r.audience
  LEFT JOIN chaos_episodes e ON e.booking_id = r.booking_id AND e.revision = r.revision
 WHERE e.booking_id IS NULL OR e.starts_at <> r.starts_at OR q.at < e.starts_at - x.lead
         -- It may leave in the mail of another one, and is tried again from then on, or followed if that mail came back.
         - CASE WHEN x.lead >= interval '12 hours'
                 AND EXISTS (SELECT FROM chaos_claims c
                              WHERE c.event_id IN (r.id, (r.event_data ->> 'follows')::uuid) AND c.leader <> c.event_id AND c.at <= q.at)
                THEN x.group_within ELSE '0' END
    -- An instance that was stopped after its last check of the clock is excused.
    OR NOT q.stopped AND q.at > least(e.starts_at, coalesce(e.next_committed_at, 'infinity')) + interval '5 seconds'
    OR q.channel = 'email' AND r.audience = 'customer' AND r.recipient = '' AND (e.email IS NULL OR e.email = 'not an address');

-- Chains. A message goes by one channel; the rest of its chain is another message, which names it.
INSERT INTO chaos_offences
SELECT 'I2', 'accepted by two channels', format('%s: %s', event_id, string_agg(DISTINCT channel, ', '))
  FROM chaos_requests WHERE taken GROUP BY event_id HAVING count(DISTINCT channel) > 1;
INSERT INTO chaos_offences
SELECT 'I2', 'went on to another channel after an attempt that may have arrived', format('%s: %s', m.id, m.event_data)
  FROM chaos_messages m
 WHERE EXISTS (SELECT FROM jsonb_array_elements(m.event_data -> 'attempts') AS a, jsonb_array_elements(m.event_data -> 'chain') AS step
                WHERE a ->> 'outcome' IN ('sent', 'unknown') AND (a ->> 'at')::timestamptz <= (step ->> 'at')::timestamptz)
    -- An attempt whose lease ran out has no time.
    OR EXISTS (SELECT FROM chaos_claims lost JOIN chaos_claims c ON c.event_id = lost.event_id AND c.seq > lost.seq AND c.channel <> lost.channel
                WHERE lost.event_id = m.id AND lost.old_status = 'sending' AND lost.new_status = 'sending');
INSERT INTO chaos_offences
SELECT 'sent', 'sent by a channel that is not in its chain, or before or after its turn', format('%s at %s by %s of %s', q.event_id, q.at, q.channel, m.channel)
  FROM chaos_requests q
  JOIN chaos_messages m ON m.id = q.event_id
 WHERE q.channel <> ALL (string_to_array(m.channel, '>'))
    OR NOT q.stopped AND q.channel IS DISTINCT FROM (
       SELECT c.channel FROM chaos_claims c
        WHERE c.event_id = q.event_id AND c.new_status = 'sending' AND c.life = q.life AND c.at <= q.at ORDER BY c.seq DESC LIMIT 1);
INSERT INTO chaos_offences
SELECT 'sent', 'sent to somebody else, or without agreement', format('%s by %s to %s', q.event_id, q.channel, q.target)
  FROM chaos_requests q
  JOIN chaos_reminders m ON m.id = q.event_id AND m.audience = 'customer' AND m.recipient = ''
  JOIN chaos_episodes e ON e.booking_id = m.booking_id AND e.revision = m.revision
  JOIN chaos_reach reach ON reach.person_id = e.person_id
 WHERE q.channel = 'sms' AND NOT (reach.agreed AND q.target IS NOT DISTINCT FROM reach.phone)
    OR q.channel = 'push' AND q.target <> ALL (reach.devices);
-- Messages of the run: those of older bookings went to another endpoint.
INSERT INTO chaos_offences
SELECT 'I1', 'said to be sent, and not accepted by the channel that it names', format('%s by %s of %s', m.id, m.used, m.channel)
  FROM chaos_messages m
 WHERE m.status = 'completed' AND NOT EXISTS (SELECT FROM chaos_requests q WHERE q.event_id = m.id AND q.channel = m.used AND q.taken)
   AND EXISTS (SELECT FROM chaos_changes c WHERE c.booking_id = m.booking_id AND c.operation = 'INSERT');
INSERT INTO chaos_offences
SELECT 'I2', 'said not to be sent, and accepted', format('%s by %s of %s: %s %s', id, used, channel, status, reason)
  FROM chaos_messages WHERE status IN ('failed', 'skipped') AND accounted = 0 AND taken > 0;
INSERT INTO chaos_offences
SELECT 'I2', 'a message by a chain that its rule does not have', format('%s: %s', m.id, m.channel)
  FROM chaos_messages m
 WHERE NOT m.follows
   AND m.channel NOT IN (SELECT unnest(channels) FROM reminder_rules r WHERE r.name = m.rule AND r.audience = m.audience
                         UNION ALL
                         SELECT unnest(channels) FROM booking_automation_notice_rules n WHERE n.name = m.rule AND n.audience = m.audience);
-- Only a message that came back is followed, by the rest of its chain.
CREATE INDEX ON booking_automation_feedback (event_id);
INSERT INTO chaos_offences
SELECT 'I2', 'follows a message that did not come back', format('%s follows %s', m.id, m.event_data ->> 'follows')
  FROM chaos_messages m
  LEFT JOIN chaos_messages first ON first.id = (m.event_data ->> 'follows')::uuid
 WHERE m.follows
   AND (first.id IS NULL OR right(first.channel, length(m.channel) + 1) IS DISTINCT FROM '>' || m.channel
        OR NOT EXISTS (SELECT FROM booking_automation_feedback f
                        WHERE f.event_id IN (SELECT leader FROM chaos_claims c WHERE c.event_id = first.id UNION ALL SELECT first.id)
                          AND f.kind IN ('bounced', 'rejected', 'undelivered')));
INSERT INTO chaos_offences
SELECT 'I2', 'followed twice', format('%s: %s times', event_data ->> 'follows', count(*))
  FROM chaos_messages WHERE follows GROUP BY event_data ->> 'follows' HAVING count(*) > 1;

-- Webhooks: what happened is told to each subscription that wants it.
CREATE TABLE chaos_told AS
SELECT w.*, coalesce(taken, 0) AS taken,
       (SELECT count(*) FROM jsonb_array_elements(event_data -> 'attempts') AS a WHERE a ->> 'outcome' = 'sent') AS told_sent,
       -- The endpoint may have taken the message although its answer was an error: that is on record, too.
       (SELECT count(*) FROM jsonb_array_elements(event_data -> 'attempts') AS a
         WHERE a ->> 'outcome' IN ('sent', 'unknown', 'no_answer', 'refused')) AS accounted
  FROM booking_automation_events w
  LEFT JOIN (SELECT subscription, message_id, count(*) FILTER (WHERE taken) AS taken FROM chaos_calls GROUP BY 1, 2) AS c
         ON c.subscription = w.audience AND c.message_id = w.message_id
 WHERE w.event_type = 'webhook';
CREATE INDEX ON chaos_told (message_id, audience);
ANALYZE chaos_told;
INSERT INTO chaos_offences
SELECT 'webhooks', 'an event that a subscription has no message of', format('%s %s: %s', e.event_type, e.id, s.url)
  FROM booking_automation_events e
  JOIN booking_automation_webhooks s ON e.executed_at > s.created_at
   AND CASE WHEN e.event_type <> 'status_update' THEN 'reminder_sent' WHEN e.event_data ->> 'to' = 'in_progress' THEN 'started'
            ELSE e.event_data ->> 'to' END = ANY (s.kinds)
  LEFT JOIN chaos_told t ON t.message_id = e.id::text AND t.audience = s.id::text
 WHERE e.event_type IN ('status_update', 'reminder_sent', 'guest_reminder_sent') AND e.status = 'completed' AND t.id IS NULL;
INSERT INTO chaos_offences
SELECT 'webhooks', 'a message that is not told', format('%s %s: %s %s, %s calls taken', message_id, rule, status, reason, taken)
  FROM chaos_told WHERE status <> 'completed' OR taken = 0;
INSERT INTO chaos_offences
SELECT 'webhooks', 'told more often than the record has doubts', format('%s: %s of %s: %s', message_id, taken, accounted, event_data -> 'attempts')
  FROM chaos_told WHERE taken > accounted OR told_sent > 1;
INSERT INTO chaos_offences
SELECT 'webhooks', 'a call without a message', format('%s to %s', c.message_id, c.subscription)
  FROM chaos_calls c LEFT JOIN chaos_told t ON t.message_id = c.message_id AND t.audience = c.subscription WHERE t.id IS NULL;

INSERT INTO chaos_offences
SELECT 'I3', 'a forbidden status change', format('%s %s -> %s at %s, start %s, blocked %s', booking_id, old_status, new_status, as_of, new_start, new_blocked)
  FROM chaos_transitions WHERE NOT allowed;
-- Refused bookings delay no others. A booking that the other client locked has waited for that.
CREATE INDEX ON chaos_locked (booking_id) INCLUDE (since, until);
INSERT INTO chaos_offences
SELECT 'late', 'a status change later than the third pass', format('%s %s -> %s at %s, due %s', t.booking_id, old_status, new_status, t.as_of, d.due_at)
  FROM chaos_transitions t
 CROSS JOIN LATERAL (
        SELECT greatest(CASE new_status WHEN 'in_progress' THEN new_start WHEN 'completed' THEN ends_at + $complete END,
                        (SELECT max(pg_xact_commit_timestamp(h.xmin)) FROM chaos_history h WHERE h.booking_id = t.booking_id AND h.seq < t.seq)) AS due_at) AS d
 CROSS JOIN LATERAL (
        SELECT p.as_of FROM chaos_passes p WHERE p.as_of >= d.due_at ORDER BY p.as_of OFFSET 2 LIMIT 1) AS third
 WHERE new_status IN ('in_progress', 'completed', 'confirmed') AND t.as_of > third.as_of + interval '3 seconds' AND NOT chaos_is_bad(t.booking_id)
   AND NOT EXISTS (SELECT FROM chaos_locked l WHERE l.booking_id = t.booking_id AND l.since <= t.as_of AND l.until >= d.due_at);
INSERT INTO chaos_offences
SELECT 'I3', 'a status change made twice', format('%s %s -> %s', booking_id, old_status, new_status)
  FROM chaos_changes WHERE ours AND before_ours AND old_status = before_old AND new_status = before_new;
INSERT INTO chaos_offences
SELECT 'I3', 'a status change without its audit row, or the other way round', format('%s %s -> %s', booking_id, old_status, new_status)
  FROM (SELECT booking_id, old_status, new_status, ours, count(*) AS changes FROM chaos_changes
         WHERE operation = 'UPDATE' AND old_status IS DISTINCT FROM new_status GROUP BY 1, 2, 3, 4) AS c
  FULL JOIN (SELECT booking_id, event_data ->> 'from' AS old_status, event_data ->> 'to' AS new_status,
                    event_data ->> 'by' = 'booking-automation' AS ours, count(*) AS changes
               FROM booking_automation_events WHERE event_type = 'status_update' AND status = 'completed' GROUP BY 1, 2, 3, 4) AS e
 USING (booking_id, old_status, new_status, ours)
 WHERE c.changes IS DISTINCT FROM e.changes;
INSERT INTO chaos_offences
SELECT 'I3', 'a log of a booking that is not what was done to it', format('%s: %s', b.id, b.automation_logs)
  FROM bookings b
 WHERE jsonb_array_length(b.automation_logs) <> (SELECT count(*) FROM chaos_transitions t WHERE t.booking_id = b.id);
INSERT INTO chaos_offences
SELECT 'I3', 'a status change that was due and not made', format('%s %s of %s', b.id, b.status, b.scheduled_at)
  FROM bookings b, (SELECT max(as_of) - interval '1 second' AS as_of FROM chaos_passes) AS p
 WHERE b.status = 'confirmed' AND b.scheduled_at <= p.as_of
    OR b.status = 'in_progress' AND b.auto_complete_blocked IS NOT TRUE
       AND greatest(b.scheduled_at + b.duration_minutes * interval '1 minute' + $complete,
                    (SELECT unblocked_at FROM booking_automation_state s WHERE s.booking_id = b.id)) <= p.as_of
       -- Overdue, and not unblocked since: it expires.
       AND NOT EXISTS (SELECT FROM chaos_history h WHERE h.booking_id = b.id AND h.at > p.as_of);

INSERT INTO chaos_offences
SELECT 'I5', 'something of a pass that is not on record', format('%s %s: run %s', e.booking_id, e.event_type, e.event_data ->> 'run_id')
  FROM booking_automation_events e
 WHERE event_data ? 'run_id'
   AND NOT EXISTS (SELECT FROM automation_runs r WHERE r.id::text = e.event_data ->> 'run_id' AND r.outcome = 'completed');
INSERT INTO chaos_offences
SELECT 'I5', 'a pass that did not do what its row says', format('as of %s: %s changes, told %s', as_of, changes, told)
  FROM (SELECT as_of, count(*) AS changes FROM chaos_transitions GROUP BY as_of) AS t
  FULL JOIN (SELECT as_of, (summary #>> '{transitions,started}')::int + (summary #>> '{transitions,completed}')::int
                        + (summary #>> '{transitions,expired}')::int
                        + coalesce((summary #>> '{transitions,reopened}')::int, 0) AS told FROM automation_runs WHERE outcome = 'completed') AS r
 USING (as_of)
 WHERE coalesce(changes, 0) <> coalesce(told, 0);

INSERT INTO chaos_offences
SELECT 'flags', 'a flag that does not say what was sent', format('%s %s', b.id, rule)
  FROM bookings b
 CROSS JOIN LATERAL (VALUES ('24h', b.reminder_24h_sent), ('1h', b.reminder_1h_sent), ('15m', b.reminder_15m_sent)) AS f (rule, flag)
 WHERE coalesce(flag, false) <> EXISTS (
        SELECT FROM chaos_reminders r WHERE r.booking_id = b.id AND r.rule = f.rule AND r.audience = 'customer' AND r.recipient = ''
           AND r.starts_at = b.scheduled_at AND r.status = 'completed');
