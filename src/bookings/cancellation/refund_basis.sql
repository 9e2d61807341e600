-- What determines the refund for one booking, whatever columns the user's table has.
--   $1 the booking
WITH RECURSIVE price_types (oid, modifier) AS (
    -- The types of the columns that what was paid is read from.
    SELECT a.atttypid, a.atttypmod
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = 'public.bookings'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND {is_price}
    UNION ALL
    -- The type under a domain.
    SELECT t.typbasetype, t.typtypmod
      FROM price_types p JOIN pg_catalog.pg_type t ON t.oid = p.oid
     WHERE t.typtype = 'd'
)
SELECT {has_price} AS has_price, jsonb_typeof(paid) AS price_type, paid #>> '{}' AS price,
       booking ->> 'currency' AS currency, booking ->> 'service_id' AS service, scheduled_at,
       -- The scale of a numeric is in the lower eleven bits of its modifier, less four, as a signed number.
       EXISTS (SELECT FROM price_types
                WHERE oid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
                   OR (oid = 'numeric'::regtype AND modifier >= 4
                       AND ((modifier - 4) & 2047 = 0 OR (modifier - 4) & 1024 <> 0))) AS is_whole
  FROM (SELECT to_jsonb(b) AS booking, b.scheduled_at, {paid} AS paid FROM public.bookings b WHERE b.id = $1) AS found
