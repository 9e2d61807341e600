-- A boolean: does a due time lie between `watermark.looked_through` and $1?
EXISTS (
    SELECT FROM reminder_rules r, watermark w
     CROSS JOIN LATERAL (
            SELECT FROM bookings b
             WHERE b.status = 'confirmed'
               AND b.scheduled_at > $1 AND b.scheduled_at <= $1 + r.lead
               AND b.scheduled_at > CASE WHEN w.everything THEN '-infinity' ELSE w.looked_through END + r.lead
               AND b.scheduled_at >= r.effective_from + r.lead
             LIMIT 1) AS due
     WHERE r.active)
