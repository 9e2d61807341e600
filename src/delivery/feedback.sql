-- Records an event of the provider about a message, settles an unknown outcome, and suppresses addresses.
--   $1 the event that is the message  $2 the provider's id of it  $3 kind  $4 the provider's time  $5 details
--   $6 addresses to suppress  $7 whether the message will never arrive  $8 the address that a transient bounce came from
--   (NULL: it is none)  $9 whether the number that the message went to is not valid
WITH ours AS MATERIALIZED (
    -- Other programs and stages may send through the same configuration set. Events of an erased message are not
    -- recorded.
    SELECT id, booking_id, attempts, message_id, to_jsonb(e) ->> 'via' AS used_via,
           coalesce(event_data @> '{"attempts": [{"outcome": "unknown"}]}', false) AS is_in_doubt
      FROM public.booking_automation_events e
     WHERE id = $1 AND event_type IN ('reminder_sent', 'guest_reminder_sent', 'notification_sent') AND event_data -> 'forgotten' IS NULL
), mail AS MATERIALIZED (
    -- It, and the messages whose latest attempt was made in its mail: not if it has moved on to another channel since, where
    -- its attempts are counted anew. Before `migrate`, events lack the columns; where they have them, the names mean theirs.
    SELECT id FROM ours
    UNION ALL
    SELECT led.id FROM ours CROSS JOIN (SELECT NULL::uuid AS led_by, NULL::integer AS led_attempt, NULL::text AS via) AS absent
     CROSS JOIN LATERAL (
           SELECT e.id FROM public.booking_automation_events e
            WHERE {are_groups_known} AND led_by = ours.id AND led_attempt = e.attempts AND e.attempts = ours.attempts
              AND via IS NOT DISTINCT FROM ours.used_via
              AND e.event_data -> 'forgotten' IS NULL) AS led
), recorded AS (
    INSERT INTO public.booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
    SELECT id, booking_id, $3, $2, $4, $5 FROM ours
    ON CONFLICT (message_id, kind, occurred_at) DO NOTHING
    RETURNING 1
), settled AS (
    -- Every event proves that the provider accepted the request. A claimed message is left to its claim: the sender or
    -- the next claim reads these events and records the outcome. A skipped message stays skipped.
    UPDATE public.booking_automation_events e
       SET status = 'completed', reason = NULL, error_message = NULL, message_id = $2, next_attempt_at = NULL,
           executed_at = clock_timestamp(),
           flag_due = e.event_type = 'reminder_sent' AND public.booking_automation_has_flag(e.rule, e.audience),
           event_data = public.booking_automation_with_attempt(e.event_data, public.booking_automation_settled_attempt(e.attempts, clock_timestamp(), $2))
      FROM mail
     WHERE e.id = mail.id AND e.status IN ('pending', 'failed')
    RETURNING 1
), {opened} {suppressed}
SELECT EXISTS (SELECT FROM ours) AS is_ours, EXISTS (SELECT FROM recorded) AS is_new,
       EXISTS (SELECT FROM settled) AS has_settled, (SELECT count(*) FROM suppressed) AS suppressed,
       (SELECT count(*) FROM opened) AS opened
