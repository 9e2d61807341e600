-- The amount of each percentage of a total, in decimals.
--   $1 the total, or NULL
--   $2 the percentages
SELECT trim_scale(percent)::text AS percent, round(total, digits)::text AS total, amount::text AS amount,
       round(total - amount, digits)::text AS kept
  FROM (SELECT $1::text::numeric AS total) AS booking
 -- To the cent, or to the finest digit of the total, so that a part never exceeds the whole.
 CROSS JOIN LATERAL (SELECT greatest(2, min_scale(total)) AS digits) AS money
 CROSS JOIN LATERAL unnest($2::text[]::numeric[]) WITH ORDINALITY AS wanted (percent, nth)
 -- Half a cent is rounded up, in favour of the refund. Times 0.01, since a division would round twice.
 CROSS JOIN LATERAL (SELECT round(total * percent * 0.01, digits) AS amount) AS part
 ORDER BY nth
