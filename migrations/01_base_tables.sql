-- The tables of a booking system. They are created only if they are missing: on an existing database this step does
-- nothing. Existing tables are never replaced, and nothing in them is dropped.

CREATE TABLE IF NOT EXISTS public.users (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email        text,
    display_name text,
    timezone     text DEFAULT 'UTC',
    created_at   timestamptz DEFAULT now(),
    updated_at   timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.services (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    provider_id      uuid REFERENCES public.users (id) ON DELETE CASCADE,
    title            text,
    duration_minutes integer,
    created_at       timestamptz DEFAULT now(),
    updated_at       timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.bookings (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id         uuid REFERENCES public.users (id) ON DELETE CASCADE,
    provider_id         uuid REFERENCES public.users (id) ON DELETE CASCADE,
    service_id          uuid REFERENCES public.services (id) ON DELETE SET NULL,
    status              text NOT NULL DEFAULT 'pending',
    scheduled_at        timestamptz NOT NULL,
    duration_minutes    integer NOT NULL DEFAULT 60,
    total_price         numeric(12, 2),
    is_online           boolean DEFAULT false,
    location            text,
    meeting_link        text,
    completed_at        timestamptz,
    cancelled_at        timestamptz,
    cancelled_by        uuid,
    cancellation_reason text,
    created_at          timestamptz DEFAULT now(),
    updated_at          timestamptz DEFAULT now(),
    CONSTRAINT bookings_status_check CHECK (status IN (
        'pending', 'pending_payment', 'paid', 'confirmed', 'in_progress', 'completed', 'cancelled',
        'rejected', 'refunded', 'failed', 'pending_completion', 'pending_cancellation', 'expired'))
);
