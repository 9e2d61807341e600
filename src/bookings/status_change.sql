-- Changes the status of one booking, which is locked.
--   $1 booking  $2 from  $3 to  $4 as_of  $5 who cancels it (NULL: no id that fits)  $6 why  $7 whether it is an undo
UPDATE bookings
   SET status = $3,
       completed_at = CASE WHEN $3 = 'completed' THEN $4 WHEN $2 = 'completed' AND $7 THEN NULL ELSE completed_at END,
       cancelled_at = CASE WHEN $3 = 'cancelled' THEN $4 ELSE cancelled_at END,
       cancelled_by = CASE WHEN $3 = 'cancelled' THEN $5 ELSE cancelled_by END,
       cancellation_reason = CASE WHEN $3 = 'cancelled' THEN $6 ELSE cancellation_reason END,
       auto_complete_blocked = CASE WHEN $7 THEN true ELSE auto_complete_blocked END
 WHERE id = $1 AND status = $2
RETURNING status = $3 AS has_changed
