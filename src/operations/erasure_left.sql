-- The person's bookings that have something to erase, and how many events of each can be erased now.
--   $1 the person  $2 how many bookings, at most
SELECT b.id, left_over.erasable
  -- Columns that bookings may lack. Where it has them, the names mean its own.
  FROM (SELECT NULL::uuid AS customer_id, NULL::uuid AS provider_id) AS absent
 CROSS JOIN LATERAL (
        SELECT id, 'customer' AS audience FROM public.bookings WHERE customer_id = $1
        UNION ALL
        SELECT id, 'provider' FROM public.bookings WHERE provider_id = $1) AS b
 CROSS JOIN LATERAL (
        -- Each booking is looked up by its key, until there are enough.
        SELECT count(*) AS found, count(*) FILTER (WHERE e.status <> 'sending') AS erasable
          FROM public.booking_automation_events e
         WHERE e.booking_id = b.id
           AND ((e.event_type = 'reminder_sent' OR e.event_type = 'notification_sent' AND e.rule <> '') AND e.audience = b.audience AND {is_first} AND e.event_data -> 'forgotten' IS NULL
                OR e.event_data ? 'reason' AND e.event_data ->> 'by' IN ('customer:' || $1, 'provider:' || $1))
        OFFSET 0) AS left_over
 WHERE left_over.found > 0
 LIMIT $2
