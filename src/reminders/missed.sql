-- Of the bookings that the sweep examines, those of which passes missed a move or a decision.
--   $1 as_of  $2 the bookings  $3 their starts
WITH rule AS MATERIALIZED (
    SELECT r.name, r.audience, channel, r.lead, r.effective_from
      FROM public.reminder_rules r CROSS JOIN unnest(r.channels) AS channel
     WHERE r.active
)
SELECT b.id
  FROM unnest($2::uuid[], $3::timestamptz[]) AS b (id, scheduled_at)
 -- OFFSET 0: each is looked up by its key.
 CROSS JOIN LATERAL (
       SELECT s.starts_at, coalesce(s.revision, {latest_revision}) AS revision
         FROM (SELECT) AS one LEFT JOIN public.booking_automation_state s ON s.booking_id = b.id
       OFFSET 0) AS s
 WHERE {is_moved}
    OR EXISTS (SELECT FROM (SELECT b.id, r.name, r.audience, r.channel
                              FROM rule r
                             WHERE public.booking_automation_is_due(b.scheduled_at, r.lead, r.effective_from, $1)) AS p
                WHERE NOT {is_decided})
