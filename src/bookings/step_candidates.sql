-- The bookings that are due for one automatic step, at most $4, or only those of $5: locks them, and hands them over to
-- step.sql and to the audit trigger, each with the time when the step became due.
--   $1 as_of  $2 as_of - EXPIRE_AFTER  $3 as_of - COMPLETE_AFTER  $6 the run
WITH candidate AS MATERIALIZED (
    -- The most overdue first. A booking that another transaction has locked waits for the next pass.
    SELECT b.id, {due_at} AS due_at {candidates} AND ($5::uuid[] IS NULL OR b.id = ANY ($5))
     ORDER BY {order} LIMIT $4
       FOR NO KEY UPDATE OF b SKIP LOCKED
)
SELECT set_config('booking_automation.run_id', $6, true),
       set_config('booking_automation.due', coalesce(json_object_agg(id, due_at), '{}')::text, true)
  FROM candidate
