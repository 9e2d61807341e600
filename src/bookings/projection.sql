-- `projection`: the steps that the coming passes take if nothing changes. Applies the pass's own conditions to every
-- booking, at each moment at which one of them can change.
--   $1 as_of  $2 until  $3 the one booking (NULL: all)  $4 EXPIRE_AFTER  $5 COMPLETE_AFTER, both in seconds
WITH RECURSIVE projection AS (
    -- The bookings now: UNION keeps each once.
    SELECT id AS booking_id, NULL::text AS from_status, status::text AS to_status, $1::timestamptz AS at, 0 AS steps
      FROM ({bookings}) AS b
    UNION ALL
    SELECT l.booking_id, l.to_status, next.status, next.at, l.steps + 1
      FROM projection l
     CROSS JOIN LATERAL (
            SELECT r.id, l.to_status AS status, r.scheduled_at, r.duration_minutes{flags}
              FROM public.bookings r WHERE r.id = l.booking_id) AS b
     CROSS JOIN LATERAL (
            WITH moment AS (
                SELECT moment.at
                  FROM (VALUES (l.at),
                               (b.scheduled_at),
                               ({end} + make_interval(secs => $4)),
                               ({end} + make_interval(secs => $5)),
                               ((SELECT s.unblocked_at FROM public.booking_automation_state s WHERE s.booking_id = b.id)
                                + make_interval(secs => $4)),
                               ((SELECT max(f.next_attempt_at) FROM public.booking_automation_events f
                                  WHERE f.booking_id = b.id AND f.event_type = 'status_update' AND f.status = 'failed'))
                       ) AS moment (at)
                 WHERE moment.at BETWEEN l.at AND $2)
            {next_steps}
             ORDER BY 2, 3
             LIMIT 1) AS next (status, at, step)
     WHERE l.steps < {most_steps}
)
