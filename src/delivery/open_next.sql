-- Part of feedback.sql.
opened AS (
    -- A message that has bounced for good did not reach the person: the rest of its chain is a message of its own, while
    -- the start lies ahead. Not if another attempt may have arrived. While an attempt is under way, its id is not known: the
    -- event is about it, unless it may be about an earlier attempt of the message that leads.
    INSERT INTO public.booking_automation_events
           (booking_id, event_type, about, event_data, scheduled_at, executed_at, status, rule, audience, channel, revision,
            starts_at, next_attempt_at, recipient, person_id, local_day)
    SELECT e.booking_id, e.event_type, e.about,
           (e.event_data - ARRAY['attempts', 'chain', 'told', 'sequence', 'booking_status'])
               || jsonb_build_object('follows', e.id, 'followed_reason', $3),
           e.scheduled_at, NULL, 'pending', e.rule, e.audience, e.rest, e.revision, e.starts_at, clock_timestamp(), e.recipient,
           e.person_id, e.local_day
      FROM (
           SELECT e.*,
                  nullif(rtrim(split_part('>' || e.channel || '>', '>' || coalesce(e.via, split_part(e.channel, '>', 1)) || '>', 2), '>'), '') AS rest
             FROM public.booking_automation_events e
            WHERE e.id IN (SELECT id FROM mail) AND position('>' IN e.channel) > 0) AS e
     WHERE EXISTS (SELECT FROM recorded) AND $7 AND e.rest IS NOT NULL
       AND e.status IN ('sending', 'completed', 'pending', 'failed') AND e.starts_at > public.booking_automation_now()
       AND (e.attempts <= 1
            OR coalesce(e.message_id, $2) = $2 AND (e.event_data @> '{"attempts": [{"outcome": "unknown"}]}') IS NOT TRUE
               AND (e.status <> 'sending' OR e.message_id IS NULL AND EXISTS (SELECT FROM ours WHERE NOT ours.is_in_doubt)))
    ON CONFLICT DO NOTHING
    RETURNING 1
),
