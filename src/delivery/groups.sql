-- The reminders that a pass has enqueued for people with several bookings, and those of their other bookings that become
-- due soon. Handed over to contacts.sql.
--   $1 as_of  $2 how many, at most
WITH enqueued AS MATERIALIZED (
    SELECT e.id, e.booking_id, e.starts_at, e.revision, r.name AS rule, r.audience, e.channel, b.person_id
      FROM unnest(current_setting('booking_automation.events')::uuid[]) AS handed_over (id)
      JOIN public.booking_automation_events e ON e.id = handed_over.id AND e.status = 'pending'
      JOIN public.reminder_rules r ON r.name = e.rule AND r.audience = e.audience
     CROSS JOIN {absent}
     CROSS JOIN LATERAL (SELECT {person} AS person_id FROM public.bookings b WHERE b.id = e.booking_id) AS b
     WHERE r.lead >= '12 hours' AND r.group_within > '0' AND b.person_id IS NOT NULL
), rule AS MATERIALIZED (
    SELECT r.name, r.audience, r.lead, r.group_within
      FROM public.reminder_rules r
     WHERE (r.name, r.audience) IN (SELECT rule, audience FROM enqueued)
), coming AS MATERIALIZED (
    -- Per rule one range of the index on the start.
    SELECT b.id AS booking_id, b.scheduled_at AS starts_at, r.name AS rule, r.audience, b.person_id
      FROM rule r
     CROSS JOIN {absent}
     CROSS JOIN LATERAL (
           SELECT b.id, b.scheduled_at, {person} AS person_id
             FROM public.bookings b
            WHERE b.status = 'confirmed' AND b.scheduled_at > $1 + r.lead AND b.scheduled_at <= $1 + r.lead + r.group_within
           OFFSET 0) AS b
), joining AS (
    -- Those that have no decision yet. The same conditions as in decisions.sql.
    SELECT NULL::uuid AS id, c.booking_id, c.starts_at, s.revision, p.rule, p.audience, p.channel, p.person_id
      FROM (SELECT DISTINCT rule, audience, channel, person_id FROM enqueued) AS p
      JOIN coming c USING (rule, audience, person_id)
     CROSS JOIN LATERAL (
           SELECT coalesce(s.revision, {latest_revision}) AS revision
             FROM (SELECT) AS one LEFT JOIN public.booking_automation_state s ON s.booking_id = c.booking_id
           OFFSET 0) AS s
     WHERE CASE WHEN EXISTS (
            SELECT FROM public.booking_automation_events e
             WHERE e.event_type = 'reminder_sent' AND e.booking_id = c.booking_id AND e.revision = s.revision
               AND e.rule = p.rule AND e.audience = p.audience AND e.channel = p.channel OFFSET 0) THEN false
           WHEN EXISTS (SELECT FROM public.booking_automation_state_changes w
                         WHERE w.booking_id = c.booking_id AND w.in_force_since IS NOT NULL) THEN false
           ELSE (SELECT {is_live} FROM public.bookings b WHERE b.id = c.booking_id) END
), several AS (
    SELECT t.*
      FROM (SELECT a.*, count(*) OVER (PARTITION BY rule, audience, channel, person_id) AS bookings
              FROM (SELECT * FROM enqueued UNION ALL SELECT * FROM joining) AS a) AS t
     WHERE t.bookings > 1
     ORDER BY t.rule, t.audience, t.channel, t.person_id, t.starts_at, t.booking_id
     LIMIT $2
), handed_over AS MATERIALIZED (
    SELECT coalesce(id, gen_random_uuid()) AS id, id IS NOT NULL AS is_enqueued, booking_id, starts_at, revision, rule, audience, channel, person_id
      FROM several
), handing_over AS (
    SELECT {hand_over} FROM handed_over
)
SELECT h.* FROM handed_over h CROSS JOIN handing_over
