-- A boolean: does the attribute `a` hold whole numbers only?
EXISTS (
    WITH RECURSIVE number (oid, modifier) AS (
        SELECT a.atttypid, a.atttypmod
        UNION ALL
        -- The type under a domain.
        SELECT t.typbasetype, t.typtypmod FROM number n JOIN pg_type t ON t.oid = n.oid WHERE t.typtype = 'd'
    )
    SELECT FROM number
     WHERE oid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
           -- The scale of a numeric is in the lower eleven bits of its modifier, less four, as a signed number.
        OR (oid = 'numeric'::regtype AND modifier >= 4 AND ((modifier - 4) & 2047 = 0 OR (modifier - 4) & 1024 <> 0)))
