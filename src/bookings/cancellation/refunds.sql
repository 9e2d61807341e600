-- The amount of each percentage of a total, in decimals.
--   $1 the total, or NULL
--   $2 the percentages
--   $3 the digits after the point of an amount of money; NULL: two, or those of the total if it has more
SELECT trim_scale(percent)::text AS percent, round(total, shown)::text AS total, amount::text AS amount,
       round(total - amount, shown)::text AS kept
  FROM (SELECT $1::text::numeric AS total) AS booking
 CROSS JOIN LATERAL (SELECT coalesce($3::integer, greatest(2, min_scale(total))) AS digits) AS money
 CROSS JOIN LATERAL (SELECT greatest(digits, min_scale(total)) AS shown) AS of_total
 CROSS JOIN LATERAL unnest($2::text[]::numeric[]) WITH ORDINALITY AS wanted (percent, nth)
 -- Half a cent is rounded up, in favour of the refund. Times 0.01, since a division would round twice.
 -- A total with more digits than money has is never exceeded.
 CROSS JOIN LATERAL (SELECT least(round(total * percent * 0.01, digits), trunc(total, digits)) AS amount) AS part
 ORDER BY nth
