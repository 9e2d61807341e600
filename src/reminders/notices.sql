-- Every notice that is due, with its decision. Whether the booking still is as the notice says, and whether its person
-- has an address, is decided when the notice is claimed.
--   $1 as_of  $2 how many, at most  $3 of how many from one transaction on a person decides
WITH fresh AS MATERIALIZED (
    SELECT * FROM public.booking_automation_notices
     WHERE held_since IS NULL AND decided_at IS NULL AND due_at <= $1
     ORDER BY due_at, seq LIMIT $2 {lock}
), decided AS MATERIALIZED (
    -- Behind them, those on which a person decided.
    SELECT * FROM public.booking_automation_notices
     WHERE held_since IS NULL AND decided_at IS NOT NULL AND due_at <= $1
     ORDER BY decided_at, seq LIMIT $2 - (SELECT count(*) FROM fresh) {lock}
), due AS MATERIALIZED (
    SELECT * FROM fresh UNION ALL SELECT * FROM decided
), import AS MATERIALIZED (
    -- Another program made too many changes of a kind in one transaction. Those that are held count, too.
    SELECT i.*
      FROM (SELECT DISTINCT transaction, on_event, rule, audience FROM due WHERE NOT is_automatic AND decided_at IS NULL) AS i
     CROSS JOIN LATERAL (
           SELECT FROM public.booking_automation_notices n
            WHERE n.transaction = i.transaction AND n.on_event = i.on_event AND n.rule = i.rule AND n.audience = i.audience
            OFFSET $3 LIMIT 1) AS one_more
), judged AS MATERIALIZED (
    SELECT d.*, i.transaction IS NOT NULL AS is_import
      FROM due d
      LEFT JOIN import i
        ON i.transaction = d.transaction AND i.on_event = d.on_event AND i.rule = d.rule AND i.audience = d.audience
       AND NOT d.is_automatic AND d.decided_at IS NULL
), decision AS (
    -- OFFSET 0: each is looked up by its key. The planner cannot know how few are due, and would read whole tables.
    SELECT j.*, coalesce(c.channel, 'email') AS channel, b.scheduled_at AS starts_at, coalesce(s.revision, 0) AS revision,
           e.event_data AS facts,
           CASE
               -- Gone, switched off, or about another event since.
               WHEN c.channel IS NULL THEN 'rule_off'
               WHEN j.is_dropped THEN 'dropped'
               WHEN b.id IS NULL THEN 'deleted'
               WHEN b.scheduled_at IS NULL OR b.scheduled_at NOT BETWEEN '0001-01-01' AND '9999-12-31' THEN 'no_start'
               -- The event was recorded long after it had happened; or no pass ran when the notice was due. Others wait for
               -- their turn, or for a person's decision.
               WHEN j.queued_at > j.happened_at + interval '1 hour'
                 OR $1 > j.due_at + interval '1 hour' AND j.decided_at IS NULL AND NOT EXISTS (
                    SELECT FROM public.automation_runs r
                     WHERE r.outcome = 'completed' AND r.as_of >= j.due_at AND r.as_of <= j.due_at + interval '1 hour') THEN 'too_old'
           END AS reason
      FROM judged j
      LEFT JOIN public.booking_automation_notice_rules r
        ON r.name = j.rule AND r.audience = j.audience AND r.on_event = j.on_event AND r.active AND r.effective_from <= j.happened_at
      LEFT JOIN LATERAL unnest(r.channels) AS c (channel) ON true
      LEFT JOIN LATERAL (SELECT b.id, b.scheduled_at, b.status FROM public.bookings b WHERE b.id = j.booking_id OFFSET 0) AS b ON true
      LEFT JOIN LATERAL (
            SELECT s.revision FROM public.booking_automation_state s WHERE s.booking_id = j.booking_id OFFSET 0) AS s ON true
      LEFT JOIN LATERAL (
            SELECT e.event_data FROM public.booking_automation_events e WHERE e.id = j.event_id OFFSET 0) AS e ON true
     WHERE NOT j.is_import
       -- A pass may take a started booking that was moved ahead back to confirmed: its notice waits for that for a while.
       -- One of a booking that is gone has no status, and does not wait.
       AND (j.on_event = 'rescheduled' AND b.status = 'in_progress' AND b.scheduled_at > $1
            AND j.due_at > $1 - interval '3 minutes' AND NOT j.is_dropped) IS NOT TRUE
)
