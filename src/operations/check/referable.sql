-- Of the tables that the base tables refer to, those that are there and have no unique uuid `id`.
SELECT wanted AS name
  FROM unnest(ARRAY['users', 'services']) AS wanted
 WHERE to_regclass('public.' || wanted) IS NOT NULL
   AND NOT EXISTS (
        SELECT FROM pg_index i
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = to_regclass('public.' || wanted) AND a.attname = 'id' AND a.atttypid = 'uuid'::regtype
           AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indnkeyatts = 1 AND i.indpred IS NULL)
