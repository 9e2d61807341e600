-- Messages whose channel has been held for longer than they can wait: they go by the next channel of their chain. A message
-- can wait for a quarter of the time between its due time and the start, and for an hour at most.
--   $1 channel  $2 how many, at most  $3 the moment to decide by (NULL: the clock)
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS at, coalesce($3, clock_timestamp()) AS as_of
), waiting AS MATERIALIZED (
    -- The most urgent ones first. After an attempt that may have reached the person, none goes by another channel.
    SELECT e.id, public.booking_automation_next_channel(e.channel, $1) AS next_channel
      FROM clock k
      JOIN public.booking_automation_channels c ON c.channel = $1 AND c.held_reason IS NOT NULL
     CROSS JOIN LATERAL (
           SELECT e.id, e.channel, e.starts_at, e.seq
             FROM public.booking_automation_events e
            WHERE {claimable} AND e.status = 'pending' AND coalesce(e.via, split_part(e.channel, '>', 1)) = $1
              -- The index of chains has no others.
              AND position('>' IN e.channel) > 0 AND e.next_attempt_at IS NOT NULL AND e.scheduled_at <= k.as_of
              AND public.booking_automation_next_channel(e.channel, $1) IS NOT NULL
              AND k.at - c.held_since > least((e.starts_at - e.scheduled_at) / 4, interval '1 hour')
              AND k.as_of - e.scheduled_at > least((e.starts_at - e.scheduled_at) / 4, interval '1 hour')
              AND (e.event_data @> '{"attempts": [{"outcome": "unknown"}]}') IS NOT TRUE
            ORDER BY e.starts_at, e.seq
            LIMIT $2
              FOR UPDATE SKIP LOCKED) AS e
)
UPDATE public.booking_automation_events e
   SET via = w.next_channel, attempts = 0, claim = e.claim + 1, led_by = NULL, led_attempt = NULL,
       reason = NULL, error_message = NULL, next_attempt_at = k.at,
       event_data = public.booking_automation_moved_on(e.event_data, $1, 'held', k.at)
  FROM waiting w, clock k
 WHERE e.id = w.id
RETURNING e.id
