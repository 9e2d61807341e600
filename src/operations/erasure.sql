-- Forgets what was sent to a person, under the erasure's row of this transaction. What is counted stays: that there was a
-- message, by which rule and channel, when, how often tried, and what became of it.
--   $1 the person
WITH booking AS MATERIALIZED (
    -- Theirs, and as whom. Each by its index, where there is one.
    SELECT id, 'customer' AS audience FROM bookings WHERE customer_id = $1
    UNION ALL
    SELECT id, 'provider' FROM bookings WHERE provider_id = $1
), theirs AS MATERIALIZED (
    -- The messages that were for them.
    SELECT e.id, e.status
      FROM booking b
      JOIN booking_automation_events e ON e.booking_id = b.id AND e.audience = b.audience
     WHERE e.event_type = 'reminder_sent' AND e.event_data -> 'forgotten' IS NULL
     ORDER BY e.id
       FOR UPDATE OF e
), forgotten AS (
    -- What waits is not sent; what is being sent must be recorded first.
    UPDATE booking_automation_events e
       SET event_data = '{"forgotten": true}', error_message = NULL, message_id = NULL, lease_until = NULL, next_attempt_at = NULL,
           status = CASE e.status WHEN 'pending' THEN 'skipped' ELSE e.status END,
           reason = CASE e.status WHEN 'pending' THEN 'forgotten' ELSE e.reason END,
           executed_at = CASE e.status WHEN 'pending' THEN booking_automation_now() ELSE e.executed_at END
      FROM theirs
     WHERE e.id = theirs.id AND theirs.status <> 'sending'
    RETURNING e.id
), feedback AS (
    DELETE FROM booking_automation_feedback f USING forgotten WHERE f.event_id = forgotten.id RETURNING 1
), words AS (
    -- Why they took a step, in their own words,
    UPDATE booking_automation_events e
       SET event_data = e.event_data - 'reason' || jsonb_build_object('forgotten', true)
     WHERE e.booking_id IN (SELECT id FROM booking)
       AND e.event_data ? 'reason'
       AND e.event_data ->> 'by' IN ('customer:' || $1, 'provider:' || $1)
    RETURNING e.booking_id
), block AS (
    -- as the reason of a block,
    UPDATE booking_automation_state s
       SET blocked_reason = ''
     WHERE s.booking_id IN (SELECT booking_id FROM words) AND s.blocked_reason <> ''
), answers AS (
    -- and as they were answered. Whoever sends that again is told that it cannot be done twice.
    DELETE FROM booking_automation_requests WHERE answer ->> 'by' IN ('customer:' || $1, 'provider:' || $1)
), counted AS (
    UPDATE booking_automation_erasures
       SET events = (SELECT count(*) FROM forgotten) + (SELECT count(*) FROM words)
     WHERE transaction = pg_current_xact_id()
)
SELECT (SELECT count(*) FROM forgotten) AS messages, (SELECT count(*) FROM theirs WHERE status = 'pending') AS not_sent,
       (SELECT count(*) FROM theirs WHERE status = 'sending') AS under_way, (SELECT count(*) FROM feedback) AS feedback,
       (SELECT count(*) FROM words) AS reasons, EXISTS (SELECT FROM booking) AS is_known
