-- Refunds of cancelled bookings: policies as data, and the decision in the audit trail.

-- One row for each service and case. If a service has no row for a case, the row without a service applies, and without
-- that the built-in policy (src/bookings/cancellation/policies.rs). If the user's own cancellation_policies have active
-- rows, those apply to customers. No foreign key, so that a service can be deleted.
CREATE TABLE IF NOT EXISTS public.booking_automation_cancellation_policies (
    id              uuid    PRIMARY KEY DEFAULT gen_random_uuid(),
    service_id      uuid,                               -- NULL: every service without a row of its own
    applies_to      text    NOT NULL CHECK (applies_to IN ('customer', 'provider', 'staff', 'no_show')), -- who cancels
    name            text    NOT NULL CHECK (name <> ''),
    free_until      interval,                           -- full refund until this long before the start, inclusive
    partial_until   interval,                           -- then, until this long before the start,
    partial_percent numeric CHECK (partial_percent BETWEEN 0 AND 100), -- this percentage;
    after_percent   numeric NOT NULL DEFAULT 0 CHECK (after_percent BETWEEN 0 AND 100), -- after that, this percentage
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((partial_until IS NULL) = (partial_percent IS NULL)),
    CHECK (partial_until <= free_until),
    -- A no-show is reported after the start, so no time before the start applies.
    CHECK (applies_to <> 'no_show' OR coalesce(free_until, partial_until) IS NULL),
    -- Months have no fixed length. A day is 24 hours.
    CHECK (free_until BETWEEN interval '0' AND interval '400 days' AND extract(year FROM free_until) = 0 AND extract(month FROM free_until) = 0),
    CHECK (partial_until BETWEEN interval '0' AND interval '400 days' AND extract(year FROM partial_until) = 0 AND extract(month FROM partial_until) = 0)
);
CREATE UNIQUE INDEX IF NOT EXISTS booking_automation_cancellation_policies_of_service
    ON public.booking_automation_cancellation_policies (service_id, applies_to) WHERE service_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS booking_automation_cancellation_policies_default
    ON public.booking_automation_cancellation_policies (applies_to) WHERE service_id IS NULL;
SELECT public.booking_automation_make_private('public.booking_automation_cancellation_policies'::regclass);
