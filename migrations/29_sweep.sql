-- Whether the sweep that is under way makes decisions that passes left to it, so that it takes more of each call's time.
ALTER TABLE public.booking_automation_sweep
    ADD COLUMN IF NOT EXISTS catches_up boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS begun_at timestamptz; -- by the moment of the pass
