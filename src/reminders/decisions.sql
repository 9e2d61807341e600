-- Every (booking, rule, audience, channel) that became due, with its decision.
--   $1 as_of
--   $2 due times up to here have their decisions already (-infinity: decide on all)
--   $3 bookings of the recheck queue, to check whatever their due times: they came into force or were moved
--   $4 how many pairs, at most; those of one booking stay together
WITH rule AS MATERIALIZED (
    SELECT r.name, r.audience, channel, r.lead, r.effective_from
      FROM public.reminder_rules r
     CROSS JOIN unnest(r.channels) AS channel
     WHERE r.active
), pair AS (
    -- Due since the last pass: per rule one range of the index on the start.
    SELECT b.id, b.scheduled_at, b.created_at::timestamptz, r.name, r.audience, r.channel, r.lead, r.effective_from, b.person_id,
           NULL::timestamptz AS moved_to
      FROM rule r
     CROSS JOIN {absent}
     CROSS JOIN LATERAL (
            SELECT b.id, b.scheduled_at, b.created_at, {person} AS person_id
              FROM public.bookings b
             WHERE b.status = 'confirmed'
               AND public.booking_automation_is_due(b.scheduled_at, r.lead, r.effective_from, $1)
               AND b.scheduled_at > $2 + r.lead
           ) AS b
    UNION
    SELECT b.id, b.scheduled_at, b.created_at::timestamptz, r.name, r.audience, r.channel, r.lead, r.effective_from, b.person_id,
           NULL
      FROM rule r
     CROSS JOIN {absent}
     CROSS JOIN LATERAL (
            SELECT b.id, b.scheduled_at, b.created_at, {person} AS person_id
              FROM public.bookings b
             WHERE b.id = ANY ($3) AND b.status = 'confirmed'
               AND public.booking_automation_is_due(b.scheduled_at, r.lead, r.effective_from, $1)
           ) AS b
    UNION ALL
    -- Quiet hours move them to now.
    SELECT id, scheduled_at, created_at::timestamptz, name, audience, channel, lead, effective_from, person_id, begins_at
      FROM ({early}) AS early
), fresh AS (
    -- Without those that have their decision for this revision of the schedule, and those that are not live. The planner
    -- cannot know how few are due, and would read all states and all events at once; OFFSET 0 has each looked up by its
    -- key.
    SELECT p.*, s.revision, p.scheduled_at - p.lead AS due_at,
           coalesce(s.in_force_since, p.created_at, '-infinity') AS in_force_since,
           coalesce(p.moved_to, quiet.begins_at) AS quiet_from
      FROM pair p
      -- The quiet hours that the due time lies in.
      LEFT JOIN LATERAL ({quiet}) AS quiet ON true
      CROSS JOIN LATERAL (
            SELECT coalesce(s.revision, {latest_revision}) AS revision, s.in_force_since
              FROM (SELECT) AS one LEFT JOIN public.booking_automation_state s ON s.booking_id = p.id
            OFFSET 0
           ) AS s
     -- CASE: only those that need a decision are asked about, since the owner's function may read other tables.
     WHERE CASE WHEN {is_decided} THEN false
           -- Its new revision is still to be recorded: see src/bookings/state_changes.sql.
           WHEN {waits_for_revision} THEN false
           WHEN {moved_before} THEN false
           -- Quiet hours had begun when the booking came into force: there is no moment before them.
           WHEN p.moved_to < coalesce(s.in_force_since, p.created_at, '-infinity') THEN false
           ELSE (SELECT {is_live} FROM public.bookings b WHERE b.id = p.id) END
     ORDER BY p.scheduled_at, p.id
     FETCH FIRST $4 ROWS WITH TIES
), judged AS (
    -- Booked late: in force only after the due time, with less than two thirds of the lead left.
    SELECT f.*, f.in_force_since > f.due_at AND f.scheduled_at - $1 < f.lead * 2 / 3 AS late
      FROM fresh f
), ranked AS (
    -- With the channels of the rules that are due now and are nearer to the start.
    SELECT j.*,
           string_agg(j.channel, '>') OVER (PARTITION BY j.id, j.audience ORDER BY j.late, j.due_at DESC, j.name DESC
                                            GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS nearer
      FROM judged j
), decision AS (
    SELECT j.*,
           CASE
               WHEN j.late THEN 'booked_late'
               -- Only the rule nearest the start goes out, of those due now and those already queued or sent. The order
               -- of those due now is that of booking_automation_supersedes.
               WHEN string_to_array(j.nearer, '>') && string_to_array(j.channel, '>')
                 OR EXISTS (
                    SELECT FROM public.booking_automation_events e
                     WHERE e.event_type = 'reminder_sent' AND e.rule <> '' AND e.booking_id = j.id AND e.revision = j.revision
                       AND e.audience = j.audience AND {shares_channel}
                       AND e.status IN ('pending', 'sending', 'completed')
                       -- One that may leave with another mail, and waits for its own time, does not count yet.
                       AND (e.status <> 'pending' OR e.scheduled_at <= $1)
                       AND (public.booking_automation_supersedes(e.scheduled_at, e.rule, j.due_at, j.name)
                            -- The rule had other channels before.
                            OR e.rule = j.name AND e.channel <> j.channel AND e.status <> 'pending'
                               AND NOT EXISTS (SELECT FROM public.reminder_rules r
                                                WHERE r.name = e.rule AND r.audience = e.audience AND e.channel = ANY (r.channels)))) THEN 'superseded'
               -- {no_address}
           END AS reason
      FROM ranked j
)
