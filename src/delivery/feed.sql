-- The bookings of a person for their calendar, and hands them over to contacts.sql. One row each, or none.
--   $1 person  $2 the moment to decide by  $3 how many, at most
WITH booking AS MATERIALIZED (
    SELECT b.*
      -- Columns that bookings may lack. Where it has them, the names mean its own.
      FROM (SELECT NULL::uuid AS customer_id, NULL::uuid AS provider_id) AS absent
     CROSS JOIN LATERAL (
           -- Who is customer and provider of a booking has it once.
           SELECT b.id, CASE WHEN customer_id = $1 THEN 'customer' ELSE 'provider' END AS audience,
                  b.scheduled_at AS starts_at, b.status IN ('cancelled', 'refunded') AS is_cancelled,
                  least(greatest(b.duration_minutes, 0), 2147483647)::integer AS duration_minutes,
                  coalesce(s.revision, public.booking_automation_latest_revision(b.id)) AS revision,
                  coalesce(s.in_force_since, b.created_at::timestamptz) AS in_force_since
             FROM public.bookings b
             LEFT JOIN public.booking_automation_state s ON s.booking_id = b.id
            WHERE (customer_id = $1 OR provider_id = $1)
              -- Years that people write.
              AND b.scheduled_at BETWEEN greatest($2::timestamptz - interval '30 days', '0001-01-01') AND '9999-12-31'
              AND {is_live}
              AND (b.status IN ('confirmed', 'in_progress', 'completed', 'pending_completion', 'pending_cancellation')
                   -- The calendars that had it show for a while that it was cancelled. What was confirmed before
                   -- the installation has no revision.
                   OR b.status IN ('cancelled', 'refunded')
                      AND EXISTS (SELECT FROM public.booking_automation_events e
                                   WHERE e.booking_id = b.id AND e.status = 'completed'
                                     AND public.booking_automation_notice_event(e.event_type, e.event_data) = 'cancelled'
                                     AND e.executed_at > $2::timestamptz - interval '30 days'
                                     AND (s.revision > 0 OR e.event_data ->> 'from' IN ('confirmed', 'in_progress', 'pending_cancellation'))))
           ) AS b
     -- Where there are too many, what lies ahead is kept first, and of that and of the past what is nearest.
     ORDER BY b.starts_at < $2, abs(extract(epoch FROM b.starts_at - $2)), b.id
     LIMIT $3
), handed_over AS MATERIALIZED (
    SELECT {hand_over} FROM (SELECT id, id AS booking_id, audience FROM booking) AS handed_over
)
SELECT booking.*,
       -- As in the latest mail, unless the schedule has changed since.
       greatest(2 * booking.revision::bigint + booking.is_cancelled::integer,
                (SELECT {sequence:e} + CASE WHEN {is_cancellation:e} = booking.is_cancelled AND e.starts_at = booking.starts_at THEN 0 ELSE 1 END
                   FROM public.booking_automation_events e
                  WHERE e.booking_id = booking.id AND e.recipient = '' AND e.audience = booking.audience
                    AND e.channel = 'email' AND {sequence:e} IS NOT NULL
                  ORDER BY {sequence:e} DESC, e.seq DESC LIMIT 1)) AS sequence
  FROM booking CROSS JOIN handed_over
 ORDER BY booking.starts_at, booking.id
