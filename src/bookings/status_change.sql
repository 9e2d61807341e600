-- Changes the status of one booking, which is locked. It runs with the settings of the user's database, so every
-- operator is named with its schema.
--   $1 booking  $2 from  $3 to  $4 as_of  $5 who cancels it  $6 why
UPDATE public.bookings
   SET status = $3{columns}
 WHERE id OPERATOR(pg_catalog.=) $1 AND status OPERATOR(pg_catalog.=) $2
RETURNING status OPERATOR(pg_catalog.=) $3 AS has_changed
