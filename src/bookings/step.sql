-- One automatic step: changes the status of the bookings that step_candidates.sql locked. It runs with the settings of
-- the user's database, so every operator, function and type is named with its schema.
--   $1 as_of  $2 the same as text  $3 the run
WITH due AS MATERIALIZED (
    SELECT d.key::pg_catalog.uuid AS id, d.value AS due_at
      FROM pg_catalog.json_each_text(pg_catalog.current_setting('booking_automation.due')::pg_catalog.json) AS d
), updated AS (
    UPDATE public.bookings AS b
       SET status = '{to}'{columns}
      FROM due AS d
     WHERE b.id OPERATOR(pg_catalog.=) d.id AND b.status OPERATOR(pg_catalog.=) '{from}'
    RETURNING b.id, b.status OPERATOR(pg_catalog.=) '{to}' AS has_moved
), counted AS (
    SELECT (SELECT pg_catalog.count(*) FROM updated WHERE has_moved) AS moved, (SELECT pg_catalog.count(*) FROM due) AS due
)
-- A BEFORE trigger of the user can keep the old status, or skip the row.
SELECT moved,
       CASE WHEN moved OPERATOR(pg_catalog.<) due
            THEN (SELECT pg_catalog.array_agg(d.id) FROM due AS d
                   WHERE NOT EXISTS (SELECT FROM updated AS u WHERE u.has_moved AND u.id OPERATOR(pg_catalog.=) d.id))
       END AS kept
  FROM counted
