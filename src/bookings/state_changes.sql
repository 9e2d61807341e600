-- Makes the changes of `booking_automation_state` that triggers could not make.
--   $1 how many, at most
WITH waiting AS MATERIALIZED (
    SELECT seq, booking_id FROM public.booking_automation_state_changes ORDER BY seq LIMIT $1
), booking AS MATERIALIZED (
    -- A booking that another session holds locked waits for the next pass: its triggers may write the same row.
    SELECT b.id, b.scheduled_at
      FROM public.bookings b
     WHERE b.id IN (SELECT booking_id FROM waiting)
       FOR NO KEY UPDATE SKIP LOCKED
), taken AS (
    -- Those of deleted bookings have no effect.
    DELETE FROM public.booking_automation_state_changes c
     USING waiting w
     WHERE c.seq = w.seq
       AND (EXISTS (SELECT FROM booking WHERE booking.id = w.booking_id)
            OR NOT EXISTS (SELECT FROM public.bookings b WHERE b.id = w.booking_id))
    RETURNING c.booking_id, c.in_force_since, c.unblocked_at
), queued AS (
    -- Its reminders are decided for the new revision: an earlier pass may have taken it from the queue.
    INSERT INTO public.booking_automation_looks (booking_id)
    SELECT DISTINCT t.booking_id FROM taken t JOIN booking b ON b.id = t.booking_id WHERE t.in_force_since IS NOT NULL
)
INSERT INTO public.booking_automation_state AS s (booking_id, revision, starts_at, in_force_since, unblocked_at)
SELECT b.id,
       count(t.in_force_since)
           + CASE WHEN EXISTS (SELECT FROM public.booking_automation_state s WHERE s.booking_id = b.id) THEN 0
                  ELSE public.booking_automation_latest_revision(b.id) END,
       CASE WHEN count(t.in_force_since) > 0 THEN b.scheduled_at END,
       max(t.in_force_since), max(t.unblocked_at)
  FROM taken t
  JOIN booking b ON b.id = t.booking_id
 GROUP BY b.id, b.scheduled_at
ON CONFLICT (booking_id) DO UPDATE SET
       revision = s.revision + excluded.revision, starts_at = coalesce(excluded.starts_at, s.starts_at),
       in_force_since = coalesce(excluded.in_force_since, s.in_force_since),
       unblocked_at = greatest(excluded.unblocked_at, s.unblocked_at),
       blocked_reason = CASE WHEN excluded.unblocked_at IS NULL THEN s.blocked_reason END
