-- A believable day and a half of a studio that also works online. The one parameter is its first hour. Everything was booked before.
-- Five providers; customers in many zones, one of whom has told no zone and one no address.
INSERT INTO users (id, display_name, email, timezone)
SELECT ('00000000-0000-0000-0000-0000000001' || lpad(n::text, 2, '0'))::uuid, name, email, zone
  FROM (VALUES (1, 'Petra Huber', 'petra@studio.example', 'Europe/Vienna'),
               (2, 'Omar Haddad', 'omar@studio.example', 'Europe/Vienna'),
               (3, 'Ines Duarte', 'ines@studio.example', 'Europe/Lisbon'),
               (4, 'Jack Moore', 'jack@studio.example', 'Australia/Sydney'),
               (5, 'Rosa Lopez', 'rosa@studio.example', 'America/Vancouver'),
               (11, 'Carla Novak', 'carla@customers.example', 'Europe/Vienna'),
               (12, 'Ben Adler', 'ben@customers.example', 'Europe/Vienna'),
               (13, 'Aiko Tanaka', 'aiko@customers.example', 'Asia/Tokyo'),
               (14, 'Maya Rao', 'maya@customers.example', 'Asia/Kolkata'),
               (15, 'Liam Walsh', 'liam@customers.example', 'Europe/Dublin'),
               (16, 'Zoe Martin', 'zoe@customers.example', 'America/New_York'),
               (17, 'Noah Cohen', 'noah@customers.example', 'America/Los_Angeles'),
               (18, 'Freya Berg', 'freya@customers.example', 'Europe/Oslo'),
               (19, 'Kofi Mensah', 'kofi@customers.example', 'Africa/Accra'),
               (20, 'Ruby Clarke', 'ruby@customers.example', 'Australia/Sydney'),
               (21, 'Elif Kaya', 'elif@customers.example', NULL),
               (22, 'Nora Lind', NULL, 'Europe/Vienna')) AS people (n, name, email, zone);

INSERT INTO services (id, provider_id, title, duration_minutes)
SELECT ('00000000-0000-0000-0000-0000000002' || lpad(n::text, 2, '0'))::uuid,
       ('00000000-0000-0000-0000-0000000001' || lpad(provider::text, 2, '0'))::uuid, title, minutes
  FROM (VALUES (1, 1, 'Massage', 60), (2, 1, 'Back training', 45), (3, 2, 'German lesson', 50), (4, 3, 'Nutrition advice', 30),
               (5, 4, 'Yoga', 45), (6, 5, 'Breathing course', 40)) AS offered (n, provider, title, minutes);

-- A booking every forty minutes, from the second hour on; some are left for the day after. Who is awake meets who is awake:
-- at the studio, if both live in Vienna, and else online.
INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, is_online, location,
                      meeting_link, created_at)
SELECT customer.id, service.provider_id, service.id, 'confirmed', starts, service.duration_minutes, online,
       CASE WHEN NOT online THEN 'Ringstraße 1, 1010 Wien' END,
       CASE WHEN online THEN 'https://meet.example/' || md5(n::text) END, $1 - interval '2 days'
  FROM generate_series(0, 67) AS n
 CROSS JOIN LATERAL (SELECT $1 + interval '2 hours' + n * interval '40 minutes' AS starts) AS slot
 CROSS JOIN LATERAL (SELECT s.*, p.timezone FROM services s JOIN users p ON p.id = s.provider_id
                      WHERE extract(hour FROM starts AT TIME ZONE p.timezone) BETWEEN 8 AND 19
                      ORDER BY md5(n || s.id::text) LIMIT 1) AS service
 CROSS JOIN LATERAL (SELECT u.* FROM users u
                      WHERE u.email LIKE '%@customers.example'
                        AND extract(hour FROM starts AT TIME ZONE coalesce(u.timezone, 'UTC')) BETWEEN 7 AND 21
                      ORDER BY md5(n || u.id::text) LIMIT 1) AS customer
 CROSS JOIN LATERAL (SELECT customer.timezone IS DISTINCT FROM 'Europe/Vienna' OR service.timezone <> 'Europe/Vienna' AS online) AS place;

-- Those that are not ordinary, all of a massage at the studio.
INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, auto_complete_blocked,
                      location, created_at)
SELECT ('00000000-0000-0000-0000-0000000001' || customer)::uuid, '00000000-0000-0000-0000-000000000101',
       '00000000-0000-0000-0000-000000000201', status, $1 + starts, 60, blocked, 'Ringstraße 1, 1010 Wien', $1 - interval '3 days'
  FROM (VALUES (12, 'confirmed', interval '-40 hours', false),          -- lost sight of: expires
               (12, 'confirmed', interval '3 hours', true),             -- blocked: begins, and waits for a person
               (11, 'cancelled', interval '4 hours 30 minutes', false), -- nothing happens to it
               (12, 'pending', interval '5 hours', false),              -- never confirmed: nor to it
               (22, 'confirmed', interval '7 hours 10 minutes', false), -- whoever booked it has no address
               (11, 'confirmed', interval '14 hours 10 minutes', false) -- two of its reminders fall into the outage
       ) AS odd (customer, status, starts, blocked);
