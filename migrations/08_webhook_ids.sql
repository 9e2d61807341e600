-- The id of the signed request that fired a pass, written in the pass's own transaction: a repeated request runs
-- nothing. Only a committed pass has one, so a failed call may be repeated.
ALTER TABLE public.automation_runs ADD COLUMN IF NOT EXISTS webhook_id text;
CREATE INDEX IF NOT EXISTS automation_runs_webhook_id ON public.automation_runs (webhook_id) WHERE webhook_id IS NOT NULL;
