-- The latest events of one booking, the newest first, and of those about guests the latest 200; each with the provider's later events, the first 50, and the booking
-- whose reminder led the mail.
--   $1 booking  $2 how many, at most
SELECT e.id, e.event_type, {event_data} AS event_data, e.scheduled_at, e.executed_at, e.status, e.reason, e.rule, e.audience,
       e.channel, e.used_via AS via, e.to_recipient AS recipient, e.next_attempt_at, e.message_id, e.created_at, leader.booking_id AS sent_with,
       (SELECT jsonb_agg(jsonb_build_object('at', f.occurred_at, 'said', f.kind) ORDER BY f.id)
          FROM (SELECT id, occurred_at, kind FROM public.booking_automation_feedback
                 WHERE event_id = ANY (ARRAY[e.id, leader.id]) ORDER BY id LIMIT 50) AS f) AS provider
  -- Before `migrate`, events lack these columns. Where they have them, the names mean their own.
  FROM (SELECT NULL::uuid AS led_by, NULL::integer AS led_attempt, '' AS recipient, NULL::text AS via) AS absent
 CROSS JOIN LATERAL (
       (SELECT e.*, via AS used_via, recipient AS to_recipient, CASE WHEN led_attempt = e.attempts THEN led_by END AS leader
          FROM public.booking_automation_events e
         WHERE e.booking_id = $1 AND recipient = ''
         ORDER BY e.seq DESC LIMIT $2)
       UNION ALL
       (SELECT e.*, via, recipient, NULL
          FROM public.booking_automation_events e
         WHERE e.booking_id = $1 AND recipient <> ''
         ORDER BY e.seq DESC LIMIT 200)) AS e
  LEFT JOIN public.booking_automation_events leader ON leader.id = e.leader
 ORDER BY e.seq DESC
