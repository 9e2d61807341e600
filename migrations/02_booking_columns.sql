-- The columns that the automation adds to `bookings`. Each has a constant default, so PostgreSQL stores it in the
-- catalog and rewrites no rows; the ACCESS EXCLUSIVE lock is short.
ALTER TABLE public.bookings
    ADD COLUMN IF NOT EXISTS completed_at          timestamptz,
    ADD COLUMN IF NOT EXISTS auto_complete_blocked boolean,
    ADD COLUMN IF NOT EXISTS reminder_24h_sent     boolean DEFAULT false,
    ADD COLUMN IF NOT EXISTS reminder_1h_sent      boolean DEFAULT false,
    ADD COLUMN IF NOT EXISTS reminder_15m_sent     boolean DEFAULT false,
    ADD COLUMN IF NOT EXISTS auto_status_updated   boolean DEFAULT false,
    ADD COLUMN IF NOT EXISTS automation_logs       jsonb   DEFAULT '[]';
