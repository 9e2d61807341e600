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
    SELECT DISTINCT r.name, r.audience, e.channel, r.lead, r.group_within
      FROM enqueued e JOIN public.reminder_rules r ON r.name = e.rule AND r.audience = e.audience
), coming AS MATERIALIZED (
    -- Per rule one range of the index on the start; of that, the bookings of these people. CASE: the planner cannot know
    -- how many they are, and would compare each with each.
    SELECT b.id AS booking_id, b.scheduled_at AS starts_at, r.name AS rule, r.audience, r.channel, r.lead, b.person_id
      FROM rule r
     CROSS JOIN {absent}
     CROSS JOIN LATERAL (
           SELECT b.id, b.scheduled_at, {person} AS person_id
             FROM public.bookings b
            WHERE b.status = 'confirmed' AND b.scheduled_at > $1 + r.lead AND b.scheduled_at <= $1 + r.lead + r.group_within
           OFFSET 0) AS b
     WHERE CASE WHEN (r.name, r.audience, r.channel, b.person_id) IN (SELECT rule, audience, channel, person_id FROM enqueued) THEN true END
), joining AS (
    -- Those that have no decision yet: the same conditions as in decisions.sql. What would be due in quiet hours does
    -- not join.
    SELECT NULL::uuid AS id, c.booking_id, c.starts_at, s.revision, c.rule, c.audience, c.channel, c.person_id
      FROM coming c
     CROSS JOIN LATERAL (
           SELECT coalesce(s.revision, {latest_revision}) AS revision
             FROM (SELECT) AS one LEFT JOIN public.booking_automation_state s ON s.booking_id = c.booking_id
           OFFSET 0) AS s
     WHERE CASE WHEN EXISTS (
            SELECT FROM public.booking_automation_events e
             WHERE e.event_type = 'reminder_sent' AND e.rule <> '' AND e.booking_id = c.booking_id AND e.revision = s.revision
               AND e.rule = c.rule AND e.audience = c.audience AND e.channel = c.channel OFFSET 0) THEN false
           WHEN EXISTS (SELECT FROM public.booking_automation_state_changes w
                         WHERE w.booking_id = c.booking_id AND w.in_force_since IS NOT NULL) THEN false
           WHEN EXISTS (SELECT FROM public.booking_automation_preferences q
                         WHERE q.person_id = c.person_id AND q.quiet_from IS NOT NULL
                           AND public.booking_automation_quiet_period(c.starts_at - c.lead, q.quiet_from, q.quiet_until, q.timezone) IS NOT NULL
                        OFFSET 0) THEN false
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
