-- Reminders that ask whether the customer will come, and the answers.
ALTER TABLE public.reminder_rules ADD COLUMN IF NOT EXISTS asks_attendance boolean NOT NULL DEFAULT false;

-- Customers who said that they will come. An answer is about one start; after a move it does not count any more.
CREATE TABLE IF NOT EXISTS public.booking_automation_attendance (
    booking_id  uuid        PRIMARY KEY,
    person_id   text        NOT NULL CHECK (octet_length(person_id) BETWEEN 1 AND 400),
    starts_at   timestamptz NOT NULL, -- the start that they were shown
    answered_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS booking_automation_attendance_age ON public.booking_automation_attendance (answered_at);
CREATE INDEX IF NOT EXISTS booking_automation_attendance_person ON public.booking_automation_attendance (person_id);

SELECT public.booking_automation_make_private('public.booking_automation_attendance'::regclass);
SELECT public.booking_automation_grant_to_passes('SELECT, INSERT, UPDATE, DELETE ON public.booking_automation_attendance');
