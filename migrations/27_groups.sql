-- One mail for several bookings of a person's day (docs/reminders.md). When a reminder becomes due, those of the person's
-- other bookings of that day that become due within this time leave with it; 0: never.
ALTER TABLE public.reminder_rules
    ADD COLUMN IF NOT EXISTS group_within interval NOT NULL DEFAULT '12 hours'
    CONSTRAINT reminder_rules_group_within_check CHECK (group_within >= '0' AND group_within <= '24 hours');
-- The message that leads the mail, and that the provider's events are about; NULL: this one. And the attempt that was made
-- in that mail; NULL: none yet.
ALTER TABLE public.booking_automation_events
    ADD COLUMN IF NOT EXISTS led_by uuid,
    ADD COLUMN IF NOT EXISTS led_attempt integer;
