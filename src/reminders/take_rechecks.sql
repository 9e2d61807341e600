-- Takes bookings from the recheck queue.
--   $1 how many, at most  $2 as_of  $3 the digest of the rules
WITH ahead AS (
    -- If the clock was set back, or differs on another host, earlier passes have decided up to a later time than this
    -- one. Bookings from the queue may not be due yet, and those passes must not count as having decided them: their
    -- rows get this pass's watermark.
    UPDATE public.automation_runs SET looked_through = least(looked_through, $2), rules_digest = $3
     WHERE outcome = 'completed' AND as_of > $2 AND EXISTS (SELECT FROM public.booking_automation_looks)
)
DELETE FROM public.booking_automation_looks
 WHERE seq IN (SELECT seq FROM public.booking_automation_looks ORDER BY seq LIMIT $1)
RETURNING booking_id,
       -- OFFSET 0: each is looked up by its key.
       EXISTS (SELECT FROM public.bookings b
                WHERE b.id = booking_id AND b.status = 'completed' AND b.scheduled_at > $2 OFFSET 0) AS is_completed_ahead
