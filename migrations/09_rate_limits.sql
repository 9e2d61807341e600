-- When each credential may call again over HTTP, for all instances together. The key is part of a digest: enough to
-- distinguish credentials, too little to guess one.
CREATE TABLE IF NOT EXISTS public.booking_automation_callers (
    credential text PRIMARY KEY,
    next_at    timestamptz NOT NULL -- when its full rate is available again
);
SELECT public.booking_automation_make_private('public.booking_automation_callers'::regclass);
