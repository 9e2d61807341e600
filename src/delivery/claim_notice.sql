-- Part of claim.sql: what the notice `e` about the booking `b` says now, and why it is not to be sent any more.
SELECT n.facts,
       CASE
           WHEN NOT n.is_on THEN 'rule_off'
           -- What comes after the start. The step may have been undone.
           WHEN n.on_event IN ('completed', 'expired') THEN CASE WHEN b.status <> n.on_event THEN 'overtaken' END
           WHEN b.scheduled_at <= p.as_of THEN 'started'
           WHEN n.on_event = 'cancelled' THEN CASE
               WHEN b.status NOT IN ('cancelled', 'refunded') THEN 'overtaken'
               WHEN told.on_event = 'cancelled' THEN 'already_told'
           END
           WHEN b.status IN ('in_progress', 'completed', 'expired') THEN 'started'
           WHEN b.status <> 'confirmed' THEN 'cancelled'
           WHEN n.on_event = 'confirmed' THEN CASE
               WHEN told.starts_at = b.scheduled_at AND told.on_event <> 'cancelled' THEN 'already_told'
           END
           WHEN b.scheduled_at <> e.starts_at OR EXISTS (
                -- A later move, or a confirmation that tells the new start.
                SELECT FROM public.booking_automation_events other
                 WHERE other.booking_id = e.booking_id AND other.event_type = 'notification_sent'
                   AND other.audience = e.audience AND other.channel = e.channel AND other.id <> e.id
                   AND CASE other.event_data -> 'notice' ->> 'on_event'
                           WHEN 'rescheduled' THEN other.rule = e.rule AND other.seq > e.seq
                           WHEN 'confirmed' THEN other.status IN ('pending', 'sending') END) THEN 'superseded'
           WHEN b.scheduled_at = (n.facts ->> 'from')::timestamptz THEN 'already_told'
       END AS not_due
  -- OFFSET 0: of a reminder, nothing below is read.
  FROM (SELECT e.event_data -> 'notice' AS stored WHERE e.event_type = 'notification_sent' OFFSET 0) AS queued
  LEFT JOIN LATERAL (
        -- What the person was told last about this booking.
        SELECT t.starts_at, coalesce(t.event_data -> 'notice' ->> 'on_event', '') AS on_event
          FROM public.booking_automation_events t
         WHERE t.booking_id = e.booking_id AND t.event_type IN ('reminder_sent', 'notification_sent')
           AND t.audience = e.audience AND t.channel = e.channel AND t.status = 'completed'
           AND NOT EXISTS (SELECT FROM public.booking_automation_feedback f
                            WHERE f.event_id = t.id AND f.kind IN ('bounced', 'rejected', 'rendering_failed') OFFSET 0)
         ORDER BY t.executed_at DESC, t.seq DESC
         LIMIT 1) AS told ON true
 CROSS JOIN LATERAL (
        SELECT stored ->> 'on_event' AS on_event,
               EXISTS (SELECT FROM public.booking_automation_notice_rules r
                        WHERE r.name = e.rule AND r.audience = e.audience AND r.active AND e.channel = ANY (r.channels)
                          AND r.on_event = stored ->> 'on_event') AS is_on,
               CASE stored ->> 'on_event'
                   WHEN 'rescheduled' THEN stored || jsonb_build_object('from', CASE
                       -- The start that the person knows: several moves are told as one.
                       WHEN told.starts_at IS NOT NULL THEN to_jsonb(told.starts_at)
                       ELSE (SELECT first.event_data -> 'notice' -> 'from'
                               FROM public.booking_automation_events first
                              WHERE first.booking_id = e.booking_id AND first.event_type = 'notification_sent'
                                AND first.audience = e.audience AND first.channel = e.channel AND first.rule = e.rule
                                AND first.event_data -> 'notice' ->> 'on_event' = 'rescheduled'
                              ORDER BY first.seq LIMIT 1) END)
                   WHEN 'cancelled' THEN stored || jsonb_strip_nulls(jsonb_build_object('by', CASE
                       WHEN stored ->> 'by' IS NOT NULL THEN stored ->> 'by'
                       -- The owner's programs write who it was into the booking, where it has this column.
                       WHEN to_jsonb(b) ->> 'cancelled_by' = to_jsonb(b) ->> 'customer_id' THEN 'customer'
                       WHEN to_jsonb(b) ->> 'cancelled_by' = to_jsonb(b) ->> 'provider_id' THEN 'provider' END))
                   ELSE stored END AS facts) AS n
