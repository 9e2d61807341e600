-- What each percentage of a total comes to, all of it in decimals.
--   $1 the total, or NULL
--   $2 the percentages
SELECT trim_scale(percent)::text AS percent, round(total, digits)::text AS total, amount::text AS amount,
       round(total - amount, digits)::text AS kept
  FROM (SELECT $1::text::numeric AS total) AS booking
 -- To the cent, or to the finest digit that the total itself has: a part is then never more than the whole.
 CROSS JOIN LATERAL (SELECT greatest(2, min_scale(total)) AS digits) AS money
 CROSS JOIN LATERAL unnest($2::text[]::numeric[]) WITH ORDINALITY AS wanted (percent, nth)
 -- Half a cent goes to whom the money goes back. By 0.01: a division would be rounded twice.
 CROSS JOIN LATERAL (SELECT round(total * percent * 0.01, digits) AS amount) AS part
 ORDER BY nth
