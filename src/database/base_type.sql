(CASE WHEN t.typtype <> 'd' THEN t.typname::text
      ELSE (WITH RECURSIVE base AS (
                SELECT d.typtype, d.typbasetype, d.typname, d.typnamespace FROM pg_type d WHERE d.oid = t.typbasetype
                UNION ALL
                SELECT d.typtype, d.typbasetype, d.typname, d.typnamespace
                  FROM base JOIN pg_type d ON d.oid = base.typbasetype WHERE base.typtype = 'd'
            ) SELECT typname::text FROM base WHERE typtype <> 'd' AND typnamespace = 'pg_catalog'::regnamespace) END)
