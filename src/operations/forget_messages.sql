-- Part of erasure.sql and erase_own.sql: erases what the messages of `message` say.
forgotten AS (
    -- Waiting messages are not sent; a message that is being sent must be recorded first.
    UPDATE public.booking_automation_events e
       -- The version of the appointment stays: a calendar ignores a lower one.
       SET event_data = '{"forgotten": true}' || jsonb_strip_nulls(jsonb_build_object('sequence', e.event_data -> 'sequence')),
           error_message = NULL, message_id = NULL, lease_until = NULL, next_attempt_at = NULL,
           status = CASE e.status WHEN 'pending' THEN 'skipped' ELSE e.status END,
           reason = CASE e.status WHEN 'pending' THEN 'forgotten' ELSE e.reason END,
           executed_at = CASE e.status WHEN 'pending' THEN public.booking_automation_now() ELSE e.executed_at END
      FROM message
     WHERE e.id = message.id AND message.status <> 'sending'
    RETURNING e.id
), feedback AS (
    DELETE FROM public.booking_automation_feedback f USING forgotten WHERE f.event_id = forgotten.id RETURNING 1
){forget_digests}
