-- Locks the messages of a page, and hands them over to contacts.sql.
--   $1 channel  $2 how many, at most  $3 messages per second, of all instances together
--   $4 seconds of the page: what cannot leave within them is not claimed  $5 only this message (NULL: any)
--   $6 the moment to decide by (NULL: the clock)  $7 each in a mail of its own
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS at, coalesce($6, clock_timestamp()) AS as_of
), pace AS MATERIALIZED (
    -- How many messages can leave within the page's time.
    SELECT {room} AS room
      FROM clock k, {channel} AS c
     WHERE c.channel = $1
), at_most AS MATERIALIZED (
    -- No row of the channel: see claim_page.
    SELECT coalesce((SELECT least($2, room)::bigint FROM pace), 0) AS messages
), absent AS (
    -- Before `migrate`, events lack these columns. Where they have them, the names mean their own.
    SELECT NULL::uuid AS led_by, '' AS recipient, NULL::text AS via
), urgent AS MATERIALIZED (
    -- New, retried and lease-expired rows, the most urgent start first.
    SELECT e.* FROM absent CROSS JOIN LATERAL (
           SELECT e.id, e.booking_id, e.audience, recipient, e.event_type, e.starts_at, e.seq, coalesce(led_by, e.id) AS group_id
             FROM public.booking_automation_events e
            WHERE {claimable} AND coalesce(via, split_part(channel, '>', 1)) = $1
              AND e.starts_at > (SELECT as_of FROM clock) AND e.next_attempt_at <= (SELECT at FROM clock)
              AND ($5::uuid IS NULL OR e.id = $5)
            ORDER BY e.starts_at, e.seq
            LIMIT (SELECT messages FROM at_most)
              FOR UPDATE SKIP LOCKED) AS e
), past AS MATERIALIZED (
    -- What is about a start that has passed.
    SELECT e.* FROM absent CROSS JOIN LATERAL (
           SELECT e.id, e.booking_id, e.audience, recipient, e.event_type, e.starts_at, e.seq
             FROM public.booking_automation_events e
            WHERE {claimable} AND coalesce(via, split_part(channel, '>', 1)) = $1
              AND e.starts_at <= (SELECT as_of FROM clock) AND e.next_attempt_at <= (SELECT at FROM clock)
              AND ($5::uuid IS NULL OR e.id = $5)
            ORDER BY e.starts_at, e.seq
            -- A message alone is the only one, so that an error of the view is about it.
            LIMIT $2 - CASE WHEN $7 THEN (SELECT count(*) FROM urgent) ELSE 0 END
              FOR UPDATE SKIP LOCKED) AS e
), groups AS MATERIALIZED (
    -- The mail of each, by its first message, and its place in the page.
    SELECT group_id, min(place) AS place
      FROM (SELECT group_id, row_number() OVER (ORDER BY starts_at, seq) AS place FROM urgent) AS placed
     WHERE NOT $7 GROUP BY group_id
), mate_id AS MATERIALIZED (
    -- What else leaves in these mails: those that are led, and those that lead.
    SELECT m.id FROM absent CROSS JOIN LATERAL (
           SELECT e.id FROM public.booking_automation_events e
            -- Before `migrate` is done, there are no groups, and no index.
            WHERE {is_liveness_known} AND led_by = ANY (ARRAY(SELECT group_id FROM groups)) AND {claimable}) AS m
    UNION
    SELECT e.id FROM public.booking_automation_events e
     WHERE e.id = ANY (ARRAY(SELECT group_id FROM groups EXCEPT SELECT id FROM urgent)) AND {claimable}
), mate AS MATERIALIZED (
    SELECT e.* FROM absent CROSS JOIN LATERAL (
           SELECT e.id, e.booking_id, e.audience, recipient, e.event_type, coalesce(led_by, e.id) AS group_id
             FROM public.booking_automation_events e
            WHERE e.id = ANY (ARRAY(SELECT id FROM mate_id EXCEPT SELECT id FROM urgent)) AND coalesce(via, split_part(channel, '>', 1)) = $1
            ORDER BY e.starts_at, e.seq
              FOR UPDATE SKIP LOCKED) AS e
), candidate AS MATERIALIZED (
    -- Together, since the page may end before its last message: see contacts.sql. What is locked, or does not fit, leaves
    -- in a mail of its own.
    SELECT m.id, m.booking_id, m.audience, m.recipient, m.event_type
      FROM (SELECT id, booking_id, audience, recipient, event_type, group_id FROM urgent
            UNION ALL
            SELECT id, booking_id, audience, recipient, event_type, group_id FROM mate) AS m
      LEFT JOIN groups g USING (group_id)
     ORDER BY g.place
), page AS MATERIALIZED (
    SELECT id, booking_id, audience, recipient, event_type FROM candidate
    UNION ALL
    -- Reminders are not due any more: they are ended, which takes no part of the rate. A mate may be among them, too; each
    -- is claimed once.
    SELECT id, booking_id, audience, recipient, event_type FROM past WHERE event_type <> 'notification_sent'
    UNION ALL
    -- Follow-ups come last.
    (SELECT id, booking_id, audience, recipient, event_type FROM past WHERE event_type = 'notification_sent'
      ORDER BY starts_at, seq LIMIT (SELECT messages FROM at_most) - (SELECT count(*) FROM urgent))
)
SELECT {hand_over},
       set_config('booking_automation.recipients', coalesce(array_agg(recipient), '{}')::text, true), {is_liveness_known} AS is_liveness_known,
       coalesce(bool_or(event_type = 'notification_sent'), false) AS has_notices,
       (array_agg(id))[1] AS first_id,
       array_agg(id) FILTER (WHERE booking_id = '00000000-0000-0000-0000-000000000000') AS digests
  FROM page
