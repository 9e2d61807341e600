-- Puts reminders into the mail of another one. A reminder that is not due yet waits until its own due time, so that it
-- leaves by itself if that mail is not tried.
--   $1 ids  $2 the messages that lead  $3 bookings  $4 starts  $5 revisions  $6 rules  $7 audiences  $8 channels
--   $9 the run  $10 as_of
WITH joining AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::integer[], $6::text[], $7::text[], $8::text[])
                  AS joining (id, led_by, booking_id, starts_at, revision, rule, audience, channel)
), enqueued AS (
    UPDATE public.booking_automation_events e SET led_by = j.led_by FROM joining j WHERE e.id = j.id
    RETURNING e.id
), joined AS (
    INSERT INTO public.booking_automation_events
           (id, booking_id, event_type, event_data, scheduled_at, status, rule, audience, channel, revision, starts_at,
            next_attempt_at, led_by)
    SELECT j.id, j.booking_id, 'reminder_sent', jsonb_build_object('run_id', $9), j.starts_at - r.lead, 'pending',
           j.rule, j.audience, j.channel, j.revision, j.starts_at,
           clock_timestamp() + (j.starts_at - r.lead - $10), j.led_by
      FROM joining j
      JOIN public.reminder_rules r ON r.name = j.rule AND r.audience = j.audience
     WHERE j.id NOT IN (SELECT id FROM enqueued)
     ORDER BY j.starts_at, j.booking_id
    ON CONFLICT (booking_id, revision, rule, audience, channel) WHERE event_type = 'reminder_sent' AND rule <> '' DO NOTHING
    RETURNING 1
)
SELECT count(*) AS joined FROM joined
