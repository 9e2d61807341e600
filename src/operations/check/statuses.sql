-- The statuses in a sample of the bookings: pages from all over the table, about a thousand.
SELECT status::text AS status, count(*) AS bookings
  FROM public.bookings TABLESAMPLE SYSTEM ($1)
 GROUP BY 1
 ORDER BY 2 DESC, 1
