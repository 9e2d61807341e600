-- What people and other programs ask of us is done once only.

-- Requests with an Idempotency-Key, and what they were answered.
CREATE TABLE IF NOT EXISTS booking_automation_requests (
    key        text PRIMARY KEY,
    digest     bytea       NOT NULL, -- SHA-256 of method, path and body: the same key is for the same request
    answer     jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS booking_automation_requests_created_at ON booking_automation_requests (created_at);
SELECT booking_automation_make_private('booking_automation_requests');
