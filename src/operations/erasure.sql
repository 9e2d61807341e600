-- Erases what was sent to a person, under this transaction's row in the erasures. It keeps what is counted: that there
-- was a message, its rule and channel, its time, its attempts, and its outcome.
--   $1 the person  $2 the bookings of this part  $3 messages, at most
WITH booking AS MATERIALIZED (
    -- The person's part in each booking.
    SELECT b.id, b.audience
      -- Columns that bookings may lack. Where it has them, the names mean its own.
      FROM (SELECT NULL::uuid AS customer_id, NULL::uuid AS provider_id) AS absent
     CROSS JOIN LATERAL (
           SELECT b.id, 'customer' AS audience FROM public.bookings b WHERE b.id = ANY ($2) AND customer_id = $1
           UNION ALL
           SELECT b.id, 'provider' FROM public.bookings b WHERE b.id = ANY ($2) AND provider_id = $1) AS b
), message AS MATERIALIZED (
    -- The messages to the person. Those that are being sent come last, since they cannot be erased.
    SELECT e.id, e.status
      FROM booking b
      JOIN public.booking_automation_events e ON e.booking_id = b.id AND e.audience = b.audience AND {is_first}
     WHERE (e.event_type = 'reminder_sent' OR e.event_type = 'notification_sent' AND e.rule <> '') AND e.event_data -> 'forgotten' IS NULL
     ORDER BY e.status = 'sending', e.id
     LIMIT $3
       FOR UPDATE OF e
), {forget_messages}, erased_reasons AS (
    -- The reasons that the person gave for status changes,
    UPDATE public.booking_automation_events e
       SET event_data = e.event_data - 'reason' || jsonb_build_object('forgotten', true)
     WHERE e.booking_id IN (SELECT id FROM booking)
       AND e.event_data ? 'reason'
       AND e.event_data ->> 'by' IN ('customer:' || $1, 'provider:' || $1)
    RETURNING e.booking_id
), cleared_block AS (
    -- and the reason of a block.
    UPDATE public.booking_automation_state s
       SET blocked_reason = ''
     WHERE s.booking_id IN (SELECT booking_id FROM erased_reasons) AND s.blocked_reason <> ''
), counted AS (
    UPDATE public.booking_automation_erasures
       SET events = (SELECT count(*) FROM forgotten) + (SELECT count(*) FROM erased_reasons)
     WHERE transaction = pg_current_xact_id()
)
SELECT (SELECT count(*) FROM forgotten) AS messages, (SELECT count(*) FROM message WHERE status = 'pending') AS not_sent,
       (SELECT count(*) FROM message WHERE status = 'sending') AS under_way, (SELECT count(*) FROM feedback) AS feedback,
       (SELECT count(*) FROM erased_reasons) AS reasons
