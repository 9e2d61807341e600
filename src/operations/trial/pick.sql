-- One booking of the status $1 that no other transaction has locked.
SELECT b.id
  FROM public.bookings b
 WHERE b.status = $1
 LIMIT 1
   FOR NO KEY UPDATE OF b SKIP LOCKED
