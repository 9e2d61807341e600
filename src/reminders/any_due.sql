-- A boolean: does a due time lie between `watermark.looked_through` and $1, or do quiet hours move one there?
EXISTS (SELECT FROM ({early}) AS early) OR EXISTS (
    SELECT FROM public.reminder_rules r, watermark w
     CROSS JOIN LATERAL (
            SELECT FROM public.bookings b
             WHERE b.status = 'confirmed'
               AND public.booking_automation_is_due(b.scheduled_at, r.lead, r.effective_from, $1)
               AND b.scheduled_at > CASE WHEN w.everything THEN '-infinity' ELSE w.looked_through END + r.lead
             LIMIT 1) AS due
     WHERE r.active)
