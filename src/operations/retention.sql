-- Deletes expired rows, the oldest first: a batch of events, of the provider's events, of runs and of answered
-- requests.
--   $1 seconds that events are kept  $2 seconds that runs are kept  $3 rows of each, at most
--   $4 the moment to decide by (NULL: the clock)
WITH oldest AS MATERIALIZED (
    -- Kept after the start, too: a decision prevents a second reminder.
    SELECT id, booking_id
      FROM public.booking_automation_events
     WHERE greatest(created_at, starts_at) < coalesce($4, now()) - make_interval(secs => $1)
       AND status IN ('completed', 'failed', 'skipped')
     ORDER BY greatest(created_at, starts_at)
     LIMIT $3
       FOR UPDATE SKIP LOCKED
), events AS (
    DELETE FROM public.booking_automation_events e USING oldest WHERE e.id = oldest.id RETURNING 1
), counted AS (
    -- In the row that permits the deletion.
    UPDATE public.booking_automation_erasures
       SET events = events + (SELECT count(*) FROM events)
     WHERE transaction = pg_current_xact_id()
), state AS (
    -- With the last event of a booking that is gone or final, its state is deleted, too. If such a booking comes into
    -- force again, it starts from the first revision: no earlier decision is left.
    DELETE FROM public.booking_automation_state s
     USING (SELECT DISTINCT booking_id FROM oldest) AS ended
     WHERE s.booking_id = ended.booking_id
       AND NOT EXISTS (SELECT FROM public.booking_automation_events e
                        WHERE e.booking_id = s.booking_id AND e.id NOT IN (SELECT id FROM oldest))
       AND NOT EXISTS (SELECT FROM public.bookings b
                        WHERE b.id = s.booking_id
                          AND b.status NOT IN ('completed', 'cancelled', 'rejected', 'refunded', 'failed', 'expired'))
), feedback AS (
    DELETE FROM public.booking_automation_feedback
     WHERE id IN (SELECT id FROM public.booking_automation_feedback ORDER BY id LIMIT $3)
       AND created_at < coalesce($4, now()) - make_interval(secs => $1)
    RETURNING 1
), runs AS (
    DELETE FROM public.automation_runs
     WHERE id IN (SELECT id FROM public.automation_runs WHERE created_at < coalesce($4, now()) - make_interval(secs => $2) ORDER BY created_at LIMIT $3)
       -- Keep the latest completed run: the next pass continues from it.
       AND id <> (SELECT id FROM public.automation_runs WHERE outcome = 'completed' ORDER BY as_of DESC LIMIT 1)
    RETURNING 1
), requests AS (
    -- The answers for repeated requests.
    DELETE FROM public.booking_automation_requests
     WHERE key IN (SELECT key FROM public.booking_automation_requests
                    WHERE created_at < coalesce($4, now()) - interval '24 hours' ORDER BY created_at LIMIT $3)
    RETURNING 1
)
SELECT (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM feedback) AS feedback,
       (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM requests) AS requests
