-- Bookings whose start changed past our triggers (switched off, or replication): they get a new revision, as from the
-- trigger, in force since now.
--   $1 as_of  $2 the bookings to examine
WITH moved AS MATERIALIZED (
    SELECT b.id, b.scheduled_at
      FROM public.bookings b
      LEFT JOIN public.booking_automation_state s ON s.booking_id = b.id
     WHERE b.id = ANY ($2) AND b.status = 'confirmed' AND isfinite(b.scheduled_at) AND {is_moved}
       FOR NO KEY UPDATE OF b SKIP LOCKED
)
INSERT INTO public.booking_automation_state AS s (booking_id, revision, starts_at, in_force_since)
SELECT id, 1 + public.booking_automation_latest_revision(id), scheduled_at, $1 FROM moved
ON CONFLICT (booking_id) DO UPDATE SET
       revision = s.revision + 1, starts_at = excluded.starts_at, in_force_since = excluded.in_force_since
