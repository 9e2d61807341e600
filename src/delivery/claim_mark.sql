-- Announces the claim of a page, in a transaction that is committed before the claim reads anything. A mark that is left
-- over says that a process ended while it read its page: the next page has half as many messages. At one message, the
-- mark names it, and counts the processes that ended over it.
--   $1 the delivery  $2 channel  $3 messages of the page, at most  $4 seconds after which a claim is over, or its process is
--   $5 the moment to decide by (NULL: the clock)
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS at, coalesce($5, clock_timestamp()) AS as_of
), dead AS (
    DELETE FROM public.booking_automation_claim_marks m
     USING clock k
     WHERE m.channel = $2 AND m.id <> $1
       -- One that lies ahead was written before the clock was set back.
       AND m.begun_at NOT BETWEEN k.at - make_interval(secs => $4) AND k.at + make_interval(secs => $4)
    RETURNING m.messages, m.event_id, m.event_claim, m.deaths
), smallest AS MATERIALIZED (
    SELECT * FROM dead ORDER BY messages, deaths DESC LIMIT 1
), absent AS (
    -- Before `migrate`, events lack this column. Where they have it, the name means their own.
    SELECT NULL::text AS via
), waiting AS MATERIALIZED (
    -- As many as that page had, of those that wait again; or the only message of a page.
    SELECT FROM absent CROSS JOIN LATERAL (
           SELECT FROM public.booking_automation_events e
            WHERE {claimable} AND coalesce(via, split_part(channel, '>', 1)) = $2 AND e.next_attempt_at <= (SELECT at FROM clock)
            ORDER BY e.starts_at, e.seq
            LIMIT coalesce((SELECT messages FROM smallest), CASE WHEN $3 = 1 THEN 1 ELSE 0 END)) AS e
), half AS MATERIALIZED (
    SELECT greatest(count(*) / 2, 1) AS messages FROM waiting HAVING EXISTS (SELECT FROM smallest)
), first AS MATERIALIZED (
    -- In the order of claims: see claim_candidates.sql.
    (SELECT e.id, e.claim FROM absent CROSS JOIN LATERAL (
            SELECT e.id, e.claim, e.starts_at, e.seq FROM public.booking_automation_events e
             WHERE {claimable} AND coalesce(via, split_part(channel, '>', 1)) = $2 AND e.next_attempt_at <= (SELECT at FROM clock) AND e.starts_at > (SELECT as_of FROM clock)
             ORDER BY e.starts_at, e.seq LIMIT 1) AS e)
    UNION ALL
    (SELECT e.id, e.claim FROM absent CROSS JOIN LATERAL (
            SELECT e.id, e.claim, e.starts_at, e.seq FROM public.booking_automation_events e
             WHERE {claimable} AND coalesce(via, split_part(channel, '>', 1)) = $2 AND e.next_attempt_at <= (SELECT at FROM clock) AND e.starts_at <= (SELECT as_of FROM clock)
             ORDER BY e.starts_at, e.seq LIMIT 1) AS e)
    LIMIT 1
), single AS MATERIALIZED (
    SELECT f.id, f.claim, CASE WHEN f.id = s.event_id AND f.claim = s.event_claim THEN s.deaths + 1 ELSE 0 END AS deaths
      FROM first f LEFT JOIN smallest s ON true
     WHERE coalesce((SELECT messages FROM half), $3) = 1 AND EXISTS (SELECT FROM waiting)
)
INSERT INTO public.booking_automation_claim_marks AS m (id, channel, messages, event_id, event_claim, deaths, begun_at)
SELECT $1, $2, least(half.messages, $3), single.id, single.claim, coalesce(single.deaths, 0), k.at
  FROM clock k LEFT JOIN half ON true LEFT JOIN single ON true
ON CONFLICT (id) DO UPDATE SET
       messages = excluded.messages, event_id = excluded.event_id, event_claim = excluded.event_claim,
       deaths = excluded.deaths, begun_at = excluded.begun_at
RETURNING m.messages, m.event_id, m.deaths
