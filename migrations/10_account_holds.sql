-- Why a channel's account cannot send. Until it can, each call tries only one message.
ALTER TABLE public.booking_automation_channels
    ADD COLUMN IF NOT EXISTS held_reason text,
    ADD COLUMN IF NOT EXISTS held_since  timestamptz;
