-- Part of claim.sql: enqueues the messages to the guests when a first recipient's message is claimed, or ends or waits for a
-- reason that is about this recipient alone. Each guest's message is judged when it is claimed itself.
enqueued AS (
    -- The UNIQUE keys decide. Earlier releases ignore the type of guests' reminders.
    INSERT INTO public.booking_automation_events
           (booking_id, event_type, about, event_data, scheduled_at, executed_at, status, rule, audience, channel, revision,
            starts_at, next_attempt_at, recipient, person_id)
    SELECT e.booking_id, CASE e.event_type WHEN 'reminder_sent' THEN 'guest_reminder_sent' ELSE e.event_type END, e.about,
           -- Without the refund, which concerns the customer.
           jsonb_strip_nulls(jsonb_build_object('run_id', e.event_data -> 'run_id', 'notice', e.event_data -> 'notice' #- '{refund}')),
           e.scheduled_at, NULL, 'pending', e.rule, e.audience, e.channel, e.revision, s.starts_at,
           -- A reminder may leave before its own time, in the mail of another one: not those to its guests.
           p.at + greatest(e.scheduled_at - p.as_of, '0'), g.guest,
           g.person_id
      FROM unnest($13::uuid[], $14::text[], $15::uuid[]) AS g (id, guest, person_id)
      -- A message that is left out of a mail for several waits for its own time, and those to its guests with it.
      JOIN (SELECT id FROM claimed
            UNION ALL
            SELECT id FROM postponed
            UNION ALL
            SELECT id FROM ended
            UNION ALL
            SELECT id FROM waits
            UNION ALL
            SELECT id FROM moved_on) AS done ON done.id = g.id
      JOIN seen s ON s.id = g.id
       AND (s.not_due IN ('opted_out', 'superseded', 'already_told') OR s.not_due IS NULL AND (s.unusable IS NOT NULL OR NOT s.exhausted))
      JOIN public.booking_automation_events e ON e.id = s.id
       -- After a message that did not arrive, the next one is for its recipient alone.
       AND NOT coalesce(e.event_data ? 'follows', false)
     CROSS JOIN pace p
     ORDER BY s.starts_at, s.seq, g.guest
    ON CONFLICT DO NOTHING
)
