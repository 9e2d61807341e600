-- The digest rules in force, in one row, with up to when passes have decided by exactly these rules.
SELECT array_agg(r.name) AS digest_rules, array_agg(r.audience) AS digest_audiences, array_agg(r.local_hour) AS digest_hours,
       array_agg(extract(epoch FROM r.effective_from)::float8) AS digests_since, v.version AS digest_version,
       (SELECT extract(epoch FROM s.looked_through)::float8 FROM public.booking_automation_digest_state s
         WHERE s.rules_digest = v.version) AS digests_looked_through
  FROM (SELECT md5(coalesce(string_agg(format('%s|%s|%s|%s|%s', name, audience, local_hour, channels, extract(epoch FROM effective_from)),
                                       ',' ORDER BY name, audience), '')) AS version
          FROM public.booking_automation_digest_rules WHERE active) AS v
  LEFT JOIN public.booking_automation_digest_rules r ON r.active AND r.channels <> '{}'
 GROUP BY v.version
