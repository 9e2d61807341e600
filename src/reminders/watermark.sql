-- The watermark: that of the latest pass before $1, or the beginning if the rules have changed since that pass. A sweep
-- follows the first pass of each hour, which begins at seven minutes past.
rules AS MATERIALIZED (
    SELECT md5(coalesce(string_agg(format('%s|%s|%s|%s|%s|%s', name, audience, lead, channels, active, effective_from),
                                   ',' ORDER BY name, audience), '')) AS digest
      FROM public.reminder_rules
), latest AS MATERIALIZED (
    SELECT as_of, looked_through, rules_digest
      FROM public.automation_runs
     WHERE outcome = 'completed' AND as_of < $1
     ORDER BY as_of DESC
     LIMIT 1
), watermark AS MATERIALIZED (
    SELECT rules.digest AS rules_digest,
           coalesce(latest.looked_through, '-infinity') AS looked_through,
           coalesce(latest.rules_digest <> rules.digest, true) AS everything,
           coalesce(latest.as_of < {latest_hour}, false) AS sweep
      FROM rules LEFT JOIN latest ON true
)
