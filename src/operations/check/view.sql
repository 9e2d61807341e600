-- The columns of the contacts view, each with the type of PostgreSQL's that it is, or is a domain over.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       (WITH RECURSIVE base AS (
            SELECT t.typtype, t.typbasetype, t.typname, t.typnamespace FROM pg_type t WHERE t.oid = a.atttypid
            UNION ALL
            SELECT t.typtype, t.typbasetype, t.typname, t.typnamespace FROM base b JOIN pg_type t ON t.oid = b.typbasetype
             WHERE b.typtype = 'd'
        ) SELECT typname::text FROM base WHERE typtype <> 'd' AND typnamespace = 'pg_catalog'::regnamespace) AS base
  FROM pg_attribute a
 WHERE a.attrelid = 'public.booking_automation_contacts'::regclass AND a.attnum > 0 AND NOT a.attisdropped
