-- Sets the marks behind which a pass looks for no booking: see schema/functions/booking_automation_live_from.sql.
--   $1 as_of  $2 as_of - EXPIRE_AFTER, at least an hour
WITH past AS (
    -- The bookings that were overdue a while ago, of each status that time changes. Those of today are left out: a booking
    -- that becomes live again behind a mark is late for nothing but to expire.
    {past}
), mark AS (
    SELECT status, least(min(key) FILTER (WHERE may_change), $2) AS before
      FROM past
     GROUP BY status
    -- With few of them a pass is as fast without a mark.
    HAVING count(*) FILTER (WHERE NOT may_change) > 100
), gone AS (
    DELETE FROM public.booking_automation_not_live WHERE status NOT IN (SELECT status FROM mark)
)
INSERT INTO public.booking_automation_not_live AS m (status, before, looked_at)
SELECT status, before, $1 FROM mark
ON CONFLICT (status) DO UPDATE SET before = excluded.before, looked_at = excluded.looked_at
