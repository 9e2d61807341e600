-- A page of the audit trail, the newest first, and the position down to which it read.
--   $1 before this position in the trail  $2 rows of the page, at most  $3 rows to read for them, at most
--   $4 booking  $5 type  $6 status  $7 created since  $8 created before (each NULL: any)
WITH reach AS MATERIALIZED (
    SELECT min(seq) AS seq, count(*) AS rows,
           -- A row's position may be later than its time by the duration of its transaction.
           coalesce(bool_or(created_at < $7 - interval '1 day'), false) AS past
      FROM (SELECT seq, created_at
              FROM public.booking_automation_events
             WHERE seq < $1 AND ($4::uuid IS NULL OR booking_id = $4)
             ORDER BY seq DESC
             LIMIT $3) AS looked_at
), page AS (
    SELECT e.seq, e.id, e.created_at, e.booking_id, e.event_type, e.status, e.scheduled_at, e.executed_at, e.reason, e.rule, e.audience,
           e.channel, e.used_via AS via, e.to_recipient AS recipient, e.revision, e.starts_at, e.attempts, e.message_id, {event_data} AS event_data,
           -- A message of the user's database may quote a row.
           CASE WHEN e.event_type <> 'status_update' THEN left(e.error_message, 2000) END AS error,
           cost.parts::bigint AS parts, trim_scale(cost.price)::text AS price
      -- Before `migrate`, events lack these columns. Where they have them, the names mean their own.
      FROM (SELECT '' AS recipient, NULL::text AS via) AS absent
     CROSS JOIN reach
     CROSS JOIN LATERAL (SELECT e.*, via AS used_via, recipient AS to_recipient FROM public.booking_automation_events e) AS e
      LEFT JOIN LATERAL ({cost}) AS cost ON position('sms' IN e.channel) > 0
     WHERE e.seq < $1 AND e.seq >= reach.seq AND ($4::uuid IS NULL OR e.booking_id = $4)
       AND ($5::text IS NULL OR e.event_type = $5) AND ($6::text IS NULL OR e.status = $6)
       AND ($7::timestamptz IS NULL OR e.created_at >= $7) AND ($8::timestamptz IS NULL OR e.created_at < $8)
     ORDER BY e.seq DESC
     LIMIT $2
)
-- A page without events is one row without an id.
SELECT reach.seq AS reach, reach.rows, reach.past, page.*
  FROM reach LEFT JOIN page ON true
 ORDER BY page.seq DESC
