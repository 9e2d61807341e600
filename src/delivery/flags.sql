-- Sets the brief's flags on `bookings`, which are locked. It runs with the settings of the user's database, so every
-- operator and function is named with its schema.
--   $1 bookings  $2, $3, $4 whether the reminder of the rule 24h, 1h, 15m was sent to each
UPDATE public.bookings AS b
   SET {columns}
  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4))
       AS sent (id, of_24h, of_1h, of_15m)
 WHERE b.id OPERATOR(pg_catalog.=) sent.id
   -- Only a real change, so that the user's triggers do not fire for nothing.
   AND ({is_change})
