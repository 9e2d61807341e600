-- One automatic step: changes the status of up to $4 bookings that are due for it, or only of those in $5.
--   $1 as_of  $2 as_of - EXPIRE_AFTER  $3 as_of - COMPLETE_AFTER  $6 the run
WITH candidate AS MATERIALIZED (
    -- The most overdue first. A booking that another transaction has locked waits for the next pass.
    SELECT b.id {candidates} AND ($5::uuid[] IS NULL OR b.id = ANY ($5))
     ORDER BY {order} LIMIT $4
       FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE bookings b
   SET status = '{to}', auto_status_updated = true{completed_at},
       -- Our entries form a list. Earlier content is kept.
       automation_logs = CASE
           WHEN b.automation_logs IS NULL OR jsonb_typeof(b.automation_logs) = 'null' THEN '[]'::jsonb
           WHEN jsonb_typeof(b.automation_logs) = 'array' THEN b.automation_logs
           ELSE jsonb_build_array(b.automation_logs) END
           || jsonb_build_object('at', $1, 'from', '{from}', 'to', '{to}', 'due_at', {due_at}, 'run_id', $6)
  FROM candidate c
 WHERE b.id = c.id
   -- Tested again: the lock may have shown a newer row.
   AND b.status = '{from}' AND {condition}
