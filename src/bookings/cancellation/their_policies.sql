-- The user's active cancellation policies, each with its conditions. As jsonb, since the user decides which columns
-- there are and of what type. policy_tables.sql checks for missing columns before.
SELECT policy ->> 'id' AS id, policy ->> 'title' AS title, policy ->> 'refund_percentage' AS refund_percentage,
       policy ->> 'min_hours_before' AS min_hours_before, policy ->> 'max_hours_before' AS max_hours_before,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(condition ->> 'condition_type', condition ->> 'condition_value')), '[]')
          FROM (SELECT to_jsonb(c.*) AS condition FROM {conditions} c) AS conditions
         WHERE condition ->> 'policy_id' = policy ->> 'id') AS conditions
  FROM (SELECT to_jsonb(p.*) AS policy FROM public.cancellation_policies p) AS policies
 -- A missing column counts as active, so that rows are found and the error names the column.
 WHERE coalesce(policy -> 'is_active', 'true') = 'true'
 ORDER BY policy ->> 'title', policy ->> 'id'
