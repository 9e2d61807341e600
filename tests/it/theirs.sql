-- A bookings database of a user: more columns, another status CHECK, row triggers, a role that writes, NULLs,
-- and years of rows.
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text, display_name text, timezone text DEFAULT 'UTC',
    password_hash text, phone text, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);
CREATE TABLE services (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), provider_id uuid REFERENCES users (id) ON DELETE CASCADE,
    title text NOT NULL, description text, duration_minutes int, price numeric, created_at timestamptz DEFAULT now()
);
CREATE TABLE bookings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id uuid REFERENCES users (id) ON DELETE CASCADE,
    provider_id uuid REFERENCES users (id) ON DELETE CASCADE,
    service_id uuid REFERENCES services (id) ON DELETE CASCADE,
    status varchar(30) NOT NULL DEFAULT 'pending',
    scheduled_at timestamptz NOT NULL, duration_minutes int, total_price numeric, payment_intent text,
    is_online boolean, location text, meeting_link text,
    completed_at timestamptz, cancelled_at timestamptz, cancelled_by uuid, cancellation_reason text,
    reminder_24h_sent boolean, reminder_1h_sent boolean DEFAULT false,
    auto_complete_blocked boolean, auto_complete_blocked_reason text,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(),
    CONSTRAINT valid_status CHECK (status IN ('pending', 'pending_payment', 'paid', 'confirmed', 'in_progress',
        'completed', 'cancelled', 'rejected', 'refunded', 'failed', 'pending_completion', 'pending_cancellation')),
    CONSTRAINT cancelled_has_time CHECK (status <> 'cancelled' OR cancelled_at IS NOT NULL)
);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_notify('bookings', NEW.id || ' ' || NEW.status); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION tell();
CREATE INDEX bookings_customer ON bookings (customer_id);

INSERT INTO users (id, email, display_name, timezone)
    VALUES ('00000000-0000-0000-0000-00000000000c', 'carla@customers.example', 'Carla', 'Europe/Vienna'),
           ('00000000-0000-0000-0000-00000000000d', NULL, NULL, NULL);
INSERT INTO services (id, title) VALUES ('00000000-0000-0000-0000-00000000000e', 'Massage');
INSERT INTO bookings (customer_id, service_id, status, scheduled_at, duration_minutes, cancelled_at, created_at)
    SELECT '00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-00000000000e',
           (ARRAY['confirmed', 'in_progress', 'completed', 'cancelled', 'paid'])[1 + n % 5],
           timestamptz '2026-03-01 12:00Z' - n * interval '1 hour', 60, now(), '2020-01-01'
      FROM generate_series(1, 20000) AS n;
