-- The owner's own texts, in the order of the key; `body` is NULL from where they are too many or too large together. One
-- row more than are read shows that there are more.
SELECT kind, language, part,
       CASE WHEN number <= 2000 AND bytes <= 1000000 THEN body END AS body
  FROM (SELECT t.*,
               row_number() OVER place AS number,
               sum(octet_length(body)) OVER place AS bytes
          FROM (SELECT kind, language, part, body
                  FROM public.booking_automation_templates
                 WHERE active
                 ORDER BY kind, language, part
                 LIMIT 2001) AS t
        WINDOW place AS (ORDER BY kind, language, part)) AS numbered
 ORDER BY kind, language, part
