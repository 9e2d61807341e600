-- Idempotency: a request of a person or a program is carried out only once.

-- Requests with an Idempotency-Key, and their answers.
CREATE TABLE IF NOT EXISTS public.booking_automation_requests (
    key        text PRIMARY KEY,
    digest     bytea       NOT NULL, -- SHA-256 of method, path and body: the same key is for the same request
    answer     jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS booking_automation_requests_created_at ON public.booking_automation_requests (created_at);
SELECT public.booking_automation_make_private('public.booking_automation_requests'::regclass);
