-- The columns of `bookings`, each with its type and the type of PostgreSQL's that it is, or is a domain over.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attgenerated <> '' AS is_generated,
       (WITH RECURSIVE base AS (
            SELECT t.typtype, t.typbasetype, t.typname, t.typnamespace FROM pg_type t WHERE t.oid = a.atttypid
            UNION ALL
            SELECT t.typtype, t.typbasetype, t.typname, t.typnamespace FROM base b JOIN pg_type t ON t.oid = b.typbasetype
             WHERE b.typtype = 'd'
        ) SELECT typname::text FROM base WHERE typtype <> 'd' AND typnamespace = 'pg_catalog'::regnamespace) AS base
  FROM pg_attribute a
 WHERE a.attrelid = 'public.bookings'::regclass AND a.attnum > 0 AND NOT a.attisdropped
