-- The audit trail cannot be rewritten: triggers refuse every change to a finished event. Only retention and the erasure
-- of a person may change it, in a transaction that announces this in a row of its own, which cannot be removed, either.

CREATE TABLE IF NOT EXISTS public.booking_automation_erasures (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL CHECK (kind IN ('retention', 'person')),
    day         date        NOT NULL,           -- in UTC; retention has one row a day
    person_id   uuid,                           -- whose messages were erased
    events      bigint      NOT NULL DEFAULT 0, -- how many were deleted or erased
    at          timestamptz NOT NULL,
    transaction xid8        NOT NULL            -- the last transaction that may erase under this row
);
CREATE UNIQUE INDEX IF NOT EXISTS booking_automation_erasures_retention
    ON public.booking_automation_erasures (day) WHERE kind = 'retention';
CREATE INDEX IF NOT EXISTS booking_automation_erasures_transaction ON public.booking_automation_erasures (transaction);
SELECT public.booking_automation_make_private('public.booking_automation_erasures'::regclass);
