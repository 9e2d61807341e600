-- Part of claim.sql: what the notice `e` about the booking `b` says now, and why it is not to be sent any more. `t.told`
-- is a digest of what it would tell, and to whom; `own.opt_outs` has the kinds of messages that the person does not want.
WITH stored AS MATERIALIZED (
    -- Of a reminder and a digest, nothing below is read.
    SELECT e.event_data -> 'notice' AS facts, e.event_data -> 'notice' ->> 'on_event' AS on_event
     WHERE e.event_type = 'notification_sent' AND NOT ({is_digest})
), said AS MATERIALIZED (
    -- What the person got, or may have got, about this booking. Other rules about the same event do not count: each tells
    -- of it for itself.
    SELECT o.seq, o.starts_at, o.executed_at, o.event_data ->> 'told' AS told, o.status = 'completed' AS is_certain,
           coalesce(o.event_data -> 'notice' ->> 'on_event', '') AS on_event
      FROM stored n
     CROSS JOIN LATERAL (
           SELECT * FROM ({own_messages:o}) AS o
            WHERE o.event_type IN ('reminder_sent', 'guest_reminder_sent', 'notification_sent')
              AND o.audience = e.audience AND {shares_channel:o} AND o.id <> e.id OFFSET 0) AS o
     WHERE {may_have_arrived:o}
       AND (o.rule = e.rule OR n.on_event IS DISTINCT FROM o.event_data -> 'notice' ->> 'on_event')
       AND NOT EXISTS (SELECT FROM public.booking_automation_feedback f
                        WHERE f.event_id = {mail:o} AND f.kind IN ('bounced', 'rejected', 'rendering_failed', 'undelivered') OFFSET 0)
), latest AS MATERIALIZED (
    -- And when a digest said something else afterwards.
    SELECT told.*, (SELECT max(coalesce(digest.executed_at, digest.scheduled_at)) {digests_between}) AS digest_at
      FROM (SELECT * FROM said ORDER BY seq DESC LIMIT 1) AS told
), known AS MATERIALIZED (
    -- The start that the person knows: several moves are told as one.
    SELECT CASE
               WHEN NOT l.is_certain THEN n.facts -> 'from'
               -- That of the digest: the booking was moved from there.
               WHEN l.digest_at IS NOT NULL THEN coalesce((
                    SELECT change.event_data -> 'from' FROM public.booking_automation_events change
                     WHERE change.booking_id = e.booking_id AND change.event_type = 'rescheduled' AND change.executed_at >= l.digest_at
                     ORDER BY change.seq LIMIT 1), n.facts -> 'from')
               WHEN l.seq IS NOT NULL THEN to_jsonb(l.starts_at)
               ELSE (SELECT first.event_data -> 'notice' -> 'from'
                       FROM ({own_messages:first}) AS first
                      WHERE first.event_type = 'notification_sent'
                        AND first.audience = e.audience AND {shares_channel:first} AND first.rule = e.rule
                        AND first.event_data -> 'notice' ->> 'on_event' = 'rescheduled'
                      ORDER BY first.scheduled_at, first.seq LIMIT 1)
           END AS start
      FROM stored n LEFT JOIN latest l ON true
     WHERE n.on_event = 'rescheduled'
)
SELECT CASE n.on_event
           WHEN 'rescheduled' THEN n.facts || jsonb_build_object('from', known.start)
           WHEN 'cancelled' THEN n.facts || jsonb_strip_nulls(jsonb_build_object('by', CASE
               WHEN n.facts ->> 'by' IS NOT NULL THEN n.facts ->> 'by'
               ELSE (
                    -- The owner's programs write who it was into the booking, where it has these columns; else their names
                    -- mean those of `absent`. The row as a whole may have megabytes.
                    SELECT CASE own.canceller WHEN own.customer THEN 'customer' WHEN own.provider THEN 'provider' END
                      FROM (SELECT NULL::text AS cancelled_by, NULL::text AS customer_id, NULL::text AS provider_id) AS absent
                     CROSS JOIN LATERAL (
                           SELECT cancelled_by::text AS canceller, customer_id::text AS customer, provider_id::text AS provider
                             FROM public.bookings AS o WHERE o.id = e.booking_id) AS own)
               END))
           ELSE n.facts
       END AS facts,
       CASE
           WHEN NOT EXISTS (SELECT FROM public.booking_automation_notice_rules r
                             WHERE r.name = e.rule AND r.audience = e.audience AND r.active AND {is_of_rule:r}
                               AND r.on_event = n.on_event) THEN 'rule_off'
           -- Years that people write; the program cannot read all that PostgreSQL can store.
           WHEN b.scheduled_at IS NULL OR b.scheduled_at NOT BETWEEN '0001-01-01' AND '9999-12-31' THEN 'no_start'
           -- Another one about the same waits: it will tell how the booking stands then.
           WHEN EXISTS (
                SELECT FROM ({own_messages:w}
                             UNION ALL
                             -- The guests' follow when the first recipient's is claimed.
                             SELECT waits.* FROM public.booking_automation_events waits
                              WHERE e.recipient <> '' AND waits.booking_id = e.booking_id AND waits.recipient = ''
                                AND waits.status = 'pending' AND waits.about <> e.about) AS w
                 WHERE w.event_type = 'notification_sent'
                   AND (w.scheduled_at, w.seq) > (e.scheduled_at, CASE w.recipient WHEN e.recipient THEN e.seq ELSE 0 END)
                   AND w.rule = e.rule AND w.audience = e.audience AND {shares_channel:w}
                   AND w.event_data -> 'notice' ->> 'on_event' = n.on_event
                   AND (w.status = 'pending' OR w.status = 'sending' AND w.next_attempt_at > p.at)) THEN 'superseded'
           -- What comes after the start. The step may have been undone.
           WHEN n.on_event IN ('completed', 'expired') THEN CASE
               WHEN b.status IS DISTINCT FROM n.on_event THEN 'overtaken'
               WHEN EXISTS (SELECT FROM said s WHERE s.on_event = n.on_event AND s.starts_at = b.scheduled_at) THEN 'already_told'
           END
           WHEN b.scheduled_at <= p.as_of THEN 'started'
           WHEN n.on_event = 'cancelled' THEN CASE
               WHEN coalesce(b.status, '') NOT IN ('cancelled', 'refunded') THEN 'overtaken'
               WHEN EXISTS (SELECT FROM latest l WHERE l.is_certain AND l.digest_at IS NULL AND l.on_event = 'cancelled' AND l.told = t.told) THEN 'already_told'
           END
           WHEN b.status IN ('in_progress', 'completed', 'expired') THEN 'started'
           WHEN b.status IS DISTINCT FROM 'confirmed' THEN 'cancelled'
           WHEN n.on_event = 'confirmed' THEN CASE
               -- It told this before, and nothing else has been told since.
               WHEN EXISTS (SELECT FROM said s WHERE s.on_event = 'confirmed' AND s.is_certain)
                AND EXISTS (SELECT FROM latest l WHERE l.is_certain AND l.digest_at IS NULL AND l.told = t.told
                                                   AND l.on_event IN ('', 'confirmed', 'rescheduled')) THEN 'already_told'
           END
           -- A confirmation that waits, and cannot have arrived, tells the new start.
           WHEN 'confirmed' <> ALL (own.opt_outs) AND EXISTS (
                SELECT FROM ({own_messages:c}
                             UNION ALL
                             SELECT waits.* FROM public.booking_automation_events waits
                              WHERE e.recipient <> '' AND waits.booking_id = e.booking_id AND waits.recipient = ''
                                AND waits.status = 'pending') AS c
                  JOIN public.booking_automation_notice_rules r ON r.name = c.rule AND r.audience = c.audience AND r.active
                 WHERE c.event_type = 'notification_sent' AND c.audience = e.audience
                   AND {shares_channel:c} AND c.event_data -> 'notice' ->> 'on_event' = 'confirmed'
                   AND c.status = 'pending' AND NOT ({may_have_arrived:c}) AND c.channel = ANY (r.channels)
                   AND r.on_event = 'confirmed' AND r.delay = '0') THEN 'superseded'
           WHEN b.scheduled_at = (known.start #>> '{}')::timestamptz
            AND NOT EXISTS (SELECT FROM latest l WHERE NOT l.is_certain OR l.on_event = 'cancelled') THEN 'already_told'
       END AS not_due
  FROM stored n LEFT JOIN known ON true
