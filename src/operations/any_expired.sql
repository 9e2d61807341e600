-- A boolean: has any row expired?
--   $1 as_of  $5 seconds that events are kept  $6 seconds that runs are kept
EXISTS (SELECT FROM public.booking_automation_events
         WHERE greatest(created_at, starts_at) < $1 - make_interval(secs => $5)
           AND status IN ('completed', 'failed', 'skipped'))
OR (SELECT created_at FROM public.booking_automation_feedback ORDER BY id LIMIT 1) < $1 - make_interval(secs => $5)
OR (SELECT created_at FROM public.automation_runs ORDER BY created_at LIMIT 1) < $1 - make_interval(secs => $6)
OR (SELECT created_at FROM public.booking_automation_requests ORDER BY created_at LIMIT 1) < $1 - interval '24 hours'
