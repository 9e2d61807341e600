-- The columns of `bookings` that `migrate` uses: whether the record says that a step of ours added them. $1: the record.
SELECT a.attname::text AS name,
       concat('column ', a.attname, ' ', a.attnum) = ANY ($1) AS is_ours
  FROM pg_attribute a
 WHERE a.attrelid = to_regclass('public.bookings') AND a.attnum > 0 AND NOT a.attisdropped
   AND a.attname IN ('completed_at', 'auto_complete_blocked', 'reminder_24h_sent', 'reminder_1h_sent',
                     'reminder_15m_sent', 'auto_status_updated', 'automation_logs')
 ORDER BY a.attnum
