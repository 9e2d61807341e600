-- Why a channel's account cannot send: until it can, each call tries one message and no more.
ALTER TABLE booking_automation_channels
    ADD COLUMN IF NOT EXISTS held_reason text,
    ADD COLUMN IF NOT EXISTS held_since  timestamptz;
