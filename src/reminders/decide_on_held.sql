-- A person's decision on some of the notices that are held, or would be held by the next passes.
--   $1 transaction  $2 the event  $3 whether they are dropped  $4 how many, at most
WITH rule AS MATERIALIZED (
    -- Rules of which notices are held: others about the same event had too few to be held.
    SELECT r.name, r.audience
      FROM (SELECT DISTINCT rule AS name, audience FROM public.booking_automation_notices
             WHERE transaction = $1::xid8 AND on_event = $2 AND held_since IS NOT NULL) AS r
), undecided AS MATERIALIZED (
    -- First those that no pass has held yet: fewer than are sent without a decision might be left of them.
    SELECT n.seq
      FROM rule r
      JOIN public.booking_automation_notices n
        ON n.transaction = $1::xid8 AND n.on_event = $2 AND n.rule = r.name AND n.audience = r.audience
       AND n.held_since IS NULL AND n.decided_at IS NULL
     LIMIT $4 FOR UPDATE OF n
), held AS MATERIALIZED (
    SELECT seq FROM public.booking_automation_notices
     WHERE transaction = $1::xid8 AND on_event = $2 AND held_since IS NOT NULL
     LIMIT $4 - (SELECT count(*) FROM undecided) FOR UPDATE
), decided AS (
    UPDATE public.booking_automation_notices
       SET held_since = NULL, decided_at = public.booking_automation_now(), is_dropped = $3
     WHERE seq IN (SELECT seq FROM undecided UNION ALL SELECT seq FROM held)
    RETURNING 1
)
SELECT count(*) AS decided FROM decided
