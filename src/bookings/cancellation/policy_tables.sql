-- Whether the user has cancellation policies, and what prevents us from reading them.
WITH wanted (relation, columns) AS (
    VALUES ('cancellation_policies',
            ARRAY['id', 'title', 'refund_percentage', 'min_hours_before', 'max_hours_before', 'is_active']),
           ('cancellation_policy_conditions', ARRAY['policy_id', 'condition_type', 'condition_value'])
), there AS (
    SELECT relation, columns, to_regclass('public.' || relation) AS oid FROM wanted
)
SELECT coalesce(bool_or(relation = 'cancellation_policies'), false) AS has_policies,
       coalesce(bool_or(relation = 'cancellation_policy_conditions'), false) AS has_conditions,
       -- Rows hidden by row-level security would look like missing policies.
       coalesce(array_agg(relation) FILTER (WHERE NOT has_table_privilege(oid, 'SELECT') OR row_security_active(oid)), '{}')
           AS unreadable,
       coalesce((SELECT array_agg(t.relation || '.' || missing)
                   FROM there t, unnest(t.columns) AS missing
                  WHERE t.oid IS NOT NULL AND NOT EXISTS (
                        SELECT FROM pg_attribute a
                         WHERE a.attrelid = t.oid AND a.attname = missing AND a.attnum > 0 AND NOT a.attisdropped)), '{}')
           AS missing
  FROM there
 WHERE oid IS NOT NULL
