-- The user's own cancellation policies that are active, each with its conditions. By way of jsonb: which columns there are, and of what type,
-- is theirs to decide. What is missing is looked for before (policy_tables.sql).
SELECT policy ->> 'id' AS id, policy ->> 'title' AS title, policy ->> 'refund_percentage' AS refund_percentage,
       policy ->> 'min_hours_before' AS min_hours_before, policy ->> 'max_hours_before' AS max_hours_before,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(condition ->> 'condition_type', condition ->> 'condition_value')), '[]')
          FROM (SELECT to_jsonb(c) AS condition FROM {conditions} c) AS conditions
         WHERE condition ->> 'policy_id' = policy ->> 'id') AS conditions
  FROM (SELECT to_jsonb(p) AS policy FROM public.cancellation_policies p) AS policies
 -- Where there is no such column, that is found out because there are rows.
 WHERE coalesce(policy -> 'is_active', 'true') = 'true'
 ORDER BY policy ->> 'title', policy ->> 'id'
