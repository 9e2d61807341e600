-- Erases what was sent to a person beside the messages about the bookings of theirs: digests, and messages to a guest. It
-- is done under this transaction's row in the erasures. It keeps that there was one, its attempts, and its outcome:
-- otherwise there would be a second one.
--   $1 the person  $2 messages, at most
WITH message AS MATERIALIZED (
    -- Those that are being sent come last, since they cannot be erased.
    SELECT id, status FROM public.booking_automation_events
     WHERE person_id = $1 AND event_data -> 'forgotten' IS NULL
     ORDER BY status = 'sending', id
     LIMIT $2
       FOR UPDATE
), {forget_messages}, counted AS (
    UPDATE public.booking_automation_erasures
       SET events = events + (SELECT count(*) FROM forgotten)
     WHERE transaction = pg_current_xact_id()
)
SELECT (SELECT count(*) FROM forgotten) AS messages, (SELECT count(*) FROM message WHERE status = 'pending') AS not_sent,
       (SELECT count(*) FROM message WHERE status = 'sending') AS under_way, (SELECT count(*) FROM feedback) AS feedback
