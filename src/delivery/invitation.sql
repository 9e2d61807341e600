-- A booking that is confirmed and has not started.
--   $1 booking  $2 the moment to decide by
SELECT b.scheduled_at, coalesce(to_jsonb(b) ->> 'customer_id', '') AS customer_id,
       least(greatest(b.duration_minutes, 0), 2147483647)::integer AS duration_minutes
  FROM public.bookings b
 WHERE b.id = $1 AND b.status = 'confirmed' AND b.scheduled_at > $2 AND {is_live}
   -- Years that people write.
   AND b.scheduled_at BETWEEN '0001-01-01' AND '9999-12-31'
