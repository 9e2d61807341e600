-- Reminders of people with quiet hours that would fall into them, and move to their beginning. The hours must have begun
-- within the last hour, and since the last pass. What would move by more than half the lead, or to before the rule took
-- effect, stays at its own time. $1 is as_of.
SELECT b.id, b.scheduled_at, b.created_at, r.name, r.audience, r.channel, r.lead, r.effective_from,
       b.person_id, quiet.begins_at
  FROM (SELECT r.name, r.audience, channel, r.lead, r.effective_from
          FROM public.reminder_rules r CROSS JOIN unnest(r.channels) AS channel WHERE r.active) AS r
 CROSS JOIN {absent}
 -- One range of the index on the start for each rule, read only when somebody's quiet hours have just begun. A moment
 -- before the due time, and after their beginning, lies in the same ones.
 CROSS JOIN LATERAL (
       SELECT b.id, b.scheduled_at, b.created_at, {person} AS person_id
         FROM public.bookings b
        WHERE b.status = 'confirmed' AND b.scheduled_at > $1 + r.lead AND b.scheduled_at <= $1 + r.lead * 1.5
          AND {begun}
       OFFSET 0) AS b
  JOIN public.booking_automation_preferences q ON q.person_id = b.person_id AND q.quiet_from IS NOT NULL
 CROSS JOIN LATERAL (
       SELECT lower(public.booking_automation_quiet_period(b.scheduled_at - r.lead, q.quiet_from, q.quiet_until, q.timezone)) AS begins_at
       OFFSET 0) AS quiet
 WHERE quiet.begins_at >= b.scheduled_at - r.lead * 1.5 AND quiet.begins_at <= $1 AND quiet.begins_at >= r.effective_from
   AND quiet.begins_at > greatest({since}, $1 - interval '1 hour')
