-- Part of trail.sql, costs.sql and expected_costs.sql: what the message `e` cost.
SELECT sum(coalesce(receipt.parts, sent.parts)) AS parts, sum(receipt.price) AS price
  FROM (SELECT DISTINCT ON (f.message_id) f.message_id,
               (f.details ->> 'parts')::numeric AS parts,
               (f.details ->> 'price')::numeric
               + coalesce((f.details ->> 'carrier_fee')::numeric, 0) AS price
          FROM public.booking_automation_feedback f
         WHERE f.event_id = e.id AND jsonb_typeof(f.details -> 'parts') = 'number'
         ORDER BY f.message_id, f.occurred_at DESC, f.id DESC) AS receipt
  FULL JOIN (SELECT DISTINCT attempt ->> 'message_id' AS message_id,
                    (attempt ->> 'parts')::numeric AS parts
               FROM jsonb_path_query(e.event_data, '$.attempts[*]') AS attempt
              WHERE jsonb_typeof(attempt -> 'parts') = 'number') AS sent USING (message_id)
HAVING count(*) > 0
