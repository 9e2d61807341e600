-- What determines the refund for one booking, whatever columns the user's table has.
--   $1 the booking
SELECT {has_price} AS has_price, jsonb_typeof(paid) AS price_type, paid #>> '{}' AS price,
       booking ->> 'currency' AS currency, booking ->> 'service_id' AS service, scheduled_at, {is_whole} AS is_whole
  FROM (SELECT to_jsonb(b.*) AS booking, b.scheduled_at, {paid} AS paid FROM public.bookings b WHERE b.id = $1) AS found
