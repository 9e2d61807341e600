-- What the SMS to come will cost, day by day, if they cost what the latest ones did: those of the same rule and audience,
-- else all of them. A price that no receipt has told is unknown.
--   $1 days  $2 rules  $3 audiences  $4 how many messages
WITH latest AS (
    SELECT e.rule, e.audience, cost.parts, cost.price
      FROM (SELECT event_id FROM public.booking_automation_sms ORDER BY claimed_at DESC LIMIT 2000) AS sent
      JOIN public.booking_automation_events e ON e.id = sent.event_id
     CROSS JOIN LATERAL ({cost}) AS cost
), mean AS (
    SELECT rule, audience, grouping(rule) = 1 AS is_of_all, avg(parts) AS parts,
           sum(price) / nullif(sum(parts) FILTER (WHERE price IS NOT NULL), 0) AS price_of_part
      FROM latest
     GROUP BY GROUPING SETS ((rule, audience), ())
), expected AS (
    SELECT coming.day, coming.messages * coalesce(own.parts, every.parts, 1) AS parts,
           coalesce(own.price_of_part, every.price_of_part) AS price_of_part
      FROM unnest($1::date[], $2::text[], $3::text[], $4::bigint[]) AS coming (day, rule, audience, messages)
      JOIN mean every ON every.is_of_all
      LEFT JOIN mean own ON NOT own.is_of_all AND own.rule = coming.rule AND own.audience = coming.audience
)
SELECT day, round(sum(parts))::bigint AS parts, trim_scale(round(sum(parts * price_of_part), 5))::text AS price
  FROM expected
 GROUP BY day
