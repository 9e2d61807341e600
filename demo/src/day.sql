-- A believable day. :start is its first minute. Everything was booked two days before.
-- Three providers, a dozen customers in several zones, one of them without an address.
INSERT INTO users (id, display_name, email, timezone)
SELECT ('00000000-0000-0000-0000-0000000001' || lpad(n::text, 2, '0'))::uuid, name, email, zone
  FROM (VALUES (1, 'Petra Huber', 'petra@studio.example', 'Europe/Vienna'),
               (2, 'Omar Haddad', 'omar@studio.example', 'Europe/Vienna'),
               (3, 'Ines Duarte', 'ines@studio.example', 'Europe/Lisbon'),
               (11, 'Carla Novak', 'carla@customers.example', 'Europe/Vienna'),
               (12, 'Ben Adler', 'ben@customers.example', 'Europe/Berlin'),
               (13, 'Aiko Tanaka', 'aiko@customers.example', 'Asia/Tokyo'),
               (14, 'Maya Rao', 'maya@customers.example', 'Asia/Kolkata'),
               (15, 'Liam Walsh', 'liam@customers.example', 'Europe/Dublin'),
               (16, 'Zoe Martin', 'zoe@customers.example', 'America/New_York'),
               (17, 'Noah Cohen', 'noah@customers.example', 'America/Los_Angeles'),
               (18, 'Freya Berg', 'freya@customers.example', 'Europe/Oslo'),
               (19, 'Kofi Mensah', 'kofi@customers.example', 'Africa/Accra'),
               (20, 'Ruby Clarke', 'ruby@customers.example', 'Australia/Sydney'),
               (21, 'Elif Kaya', 'elif@customers.example', NULL),
               (22, 'Nora Lind', NULL, 'Europe/Stockholm')) AS people (n, name, email, zone);

INSERT INTO services (id, provider_id, title, duration_minutes)
SELECT ('00000000-0000-0000-0000-0000000002' || lpad(n::text, 2, '0'))::uuid,
       ('00000000-0000-0000-0000-0000000001' || lpad(provider::text, 2, '0'))::uuid, title, minutes
  FROM (VALUES (1, 1, 'Massage', 60), (2, 1, 'Back training', 45), (3, 2, 'Language lesson', 50), (4, 3, 'Consultation', 30))
    AS offered (n, provider, title, minutes);

-- Forty-eight ordinary bookings, one every forty minutes from the second hour to the day after.
INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, is_online, location,
                      meeting_link, created_at)
SELECT ('00000000-0000-0000-0000-0000000001' || (11 + n % 12))::uuid, s.provider_id, s.id, 'confirmed',
       $1 + interval '2 hours' + n * interval '40 minutes', s.duration_minutes, n % 4 = 3,
       CASE WHEN n % 4 = 3 THEN NULL ELSE 'Ringstraße 1, Wien' END,
       CASE WHEN n % 4 = 3 THEN 'https://meet.example/' || n END, $1 - interval '2 days'
  FROM generate_series(0, 47) AS n
  JOIN services s ON s.id = ('00000000-0000-0000-0000-00000000020' || (1 + n % 4))::uuid;
-- Some that time must not, or must otherwise, move on.
INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, auto_complete_blocked, created_at)
SELECT '00000000-0000-0000-0000-000000000112', '00000000-0000-0000-0000-000000000101', '00000000-0000-0000-0000-000000000201',
       status, $1 + starts, 60, blocked, $1 - interval '3 days'
  FROM (VALUES ('pending', interval '5 hours', false),    -- never confirmed: nothing happens to it
               ('confirmed', interval '3 hours', true),   -- blocked: begins, and waits for a person
               ('confirmed', interval '-40 hours', false) -- lost sight of: expires
       ) AS odd (status, starts, blocked);
