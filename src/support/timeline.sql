-- The latest events of one booking, the newest first, each with the provider's later events.
--   $1 booking  $2 how many, at most
SELECT e.id, e.event_type, e.event_data, e.scheduled_at, e.executed_at, e.status, e.reason, e.rule, e.audience,
       e.channel, e.next_attempt_at, e.message_id, e.created_at,
       (SELECT jsonb_agg(jsonb_build_object('at', f.occurred_at, 'said', f.kind) ORDER BY f.id)
          FROM public.booking_automation_feedback f WHERE f.event_id = e.id) AS provider
  FROM public.booking_automation_events e
 WHERE e.booking_id = $1
 ORDER BY e.seq DESC LIMIT $2
