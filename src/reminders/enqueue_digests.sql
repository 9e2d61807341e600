-- Puts digests into the outbox: they belong to no booking.
--   $1 the run  $2 rules  $3 audiences  $4 people  $5 days of theirs  $6 when each is due  $7 the last start of the day
--   $8 what is remembered for the message
WITH enqueued AS (
    -- The UNIQUE key decides.
    INSERT INTO public.booking_automation_events
           (booking_id, event_type, event_data, scheduled_at, executed_at, status, rule, audience, channel, starts_at,
            next_attempt_at, person_id, local_day)
    SELECT '00000000-0000-0000-0000-000000000000', 'notification_sent', jsonb_build_object('run_id', $1::text, 'digest', d.facts),
           d.due_at, NULL, 'pending', d.rule, d.audience, channel, d.last_start, clock_timestamp(), d.person_id, d.day
      FROM unnest($2::text[], $3::text[], $4::uuid[], $5::date[], $6::timestamptz[], $7::timestamptz[], $8::jsonb[])
           AS d (rule, audience, person_id, day, due_at, last_start, facts)
      JOIN public.booking_automation_digest_rules r ON r.name = d.rule AND r.audience = d.audience AND r.active
     CROSS JOIN unnest(r.channels) AS channel
     ORDER BY d.due_at, d.last_start
    ON CONFLICT (person_id, local_day, rule, audience, channel) WHERE person_id IS NOT NULL DO NOTHING
    RETURNING 1
)
SELECT count(*) AS pending FROM enqueued
