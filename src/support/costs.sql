-- What the SMS of the last days cost, day by day in UTC, the latest day first.
--   $1 days, today included
SELECT to_char(sent.day, 'YYYY-MM-DD') AS day, count(*) AS messages, sum(cost.parts)::bigint AS parts,
       trim_scale(coalesce(sum(cost.price), 0))::text AS price, count(*) FILTER (WHERE cost.price IS NULL) AS unpriced
  FROM (SELECT m.event_id, date_trunc('day', m.claimed_at AT TIME ZONE 'UTC') AS day
          FROM public.booking_automation_sms m
         WHERE m.claimed_at >= date_trunc('day', now(), 'UTC') - make_interval(days => $1::integer - 1)) AS sent
  JOIN public.booking_automation_events e ON e.id = sent.event_id
 CROSS JOIN LATERAL ({cost}) AS cost
 GROUP BY sent.day
 ORDER BY sent.day DESC
