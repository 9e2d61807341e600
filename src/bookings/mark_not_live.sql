-- Sets the marks behind which a pass looks for no booking: see schema/functions/booking_automation_live_from.sql.
--   $1 as_of  $2 as_of - EXPIRE_AFTER, at least an hour  $3 bookings of each status, at most
--   $4 from the beginning; otherwise a mark that passes heed moves on from where it is
WITH past AS (
    -- The bookings that were overdue a while ago, of each status that time changes. Those of today are left out: a booking
    -- that becomes live again behind a mark is late for nothing but to expire.
    {past}
), mark AS (
    SELECT status, least(min(key) FILTER (WHERE may_change), CASE WHEN count(*) = $3 THEN max(key) ELSE $2 END) AS before,
           count(*) = $3 AND NOT bool_or(may_change) AS more,
           NOT $4 AND public.booking_automation_live_from(status, $1) > '-infinity' AS moves_on
      FROM past
     GROUP BY status
    -- With few of them a pass is as fast without a mark. A part may be smaller, and others follow.
    HAVING NOT $4 AND public.booking_automation_live_from(status, $1) > '-infinity'
        OR count(*) FILTER (WHERE NOT may_change) > least(100, $3 - 1)
), gone AS (
    DELETE FROM public.booking_automation_not_live WHERE $4 AND status NOT IN (SELECT status FROM mark)
), moved AS (
    -- A mark that moves on is as old as its beginning.
    UPDATE public.booking_automation_not_live m SET before = mark.before FROM mark WHERE m.status = mark.status AND mark.moves_on
), begun AS (
    INSERT INTO public.booking_automation_not_live AS m (status, before, looked_at)
    SELECT status, before, $1 FROM mark WHERE NOT moves_on
    ON CONFLICT (status) DO UPDATE SET before = excluded.before, looked_at = excluded.looked_at
)
SELECT coalesce(bool_or(more), false) AS more FROM mark
