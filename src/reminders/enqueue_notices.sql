-- Continues notices.sql. $4 is the run.
, held AS (
    -- As many at once as $5, so that others do not wait behind them for long.
    UPDATE public.booking_automation_notices n
       SET held_since = $1
     WHERE n.seq IN (SELECT m.seq
                       FROM import i
                      CROSS JOIN LATERAL (
                            SELECT seq FROM public.booking_automation_notices m
                             WHERE m.transaction = i.transaction AND m.on_event = i.on_event AND m.rule = i.rule
                               AND m.audience = i.audience AND m.held_since IS NULL AND m.decided_at IS NULL AND NOT m.is_automatic
                             LIMIT $5 FOR UPDATE SKIP LOCKED) AS m)
    RETURNING n.on_event
), taken AS (
    DELETE FROM public.booking_automation_notices WHERE seq IN (SELECT seq FROM decision)
), noticed AS (
    -- The UNIQUE key decides.
    INSERT INTO public.booking_automation_events
           (booking_id, event_type, about, event_data, scheduled_at, executed_at, status, reason,
            rule, audience, channel, revision, starts_at, next_attempt_at)
    SELECT booking_id, 'notification_sent', event_id,
           jsonb_build_object('run_id', $4::text, 'notice', jsonb_strip_nulls(jsonb_build_object(
               'on_event', on_event,
               'from', CASE on_event WHEN 'rescheduled' THEN facts -> 'from' END,
               -- Roles alone: people are named by the view, at the moment of sending.
               'by', CASE
                   WHEN facts ->> 'by' IS DISTINCT FROM facts ->> 'session_user'
                    AND split_part(facts ->> 'by', ':', 1) IN ('customer', 'provider', 'admin', 'system')
                   THEN split_part(facts ->> 'by', ':', 1) END,
               'refund', facts -> 'refund'))),
           due_at, CASE WHEN reason IS NOT NULL THEN $1 END,
           CASE WHEN reason IS NULL THEN 'pending' ELSE 'skipped' END, reason,
           rule, audience, channel, revision, CASE WHEN isfinite(starts_at) THEN starts_at END,
           CASE WHEN reason IS NULL THEN clock_timestamp() END
      FROM decision
     ORDER BY due_at, seq
    ON CONFLICT (about, rule, audience, channel, recipient) WHERE event_type = 'notification_sent' AND about IS NOT NULL DO NOTHING
    RETURNING reason
)
SELECT (SELECT count(*) FROM noticed WHERE reason IS NULL) AS pending,
       (SELECT count(*) FROM noticed WHERE reason IS NOT NULL) AS skipped,
       (SELECT count(*) FROM held) AS held,
       (SELECT array_agg(DISTINCT on_event) FROM held) AS held_events
