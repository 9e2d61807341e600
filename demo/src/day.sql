-- Two days of a studio that also works online. The only parameter is its first hour. All bookings were made before.
-- The owner's view reads the languages of the people, and who agreed to SMS, from columns of theirs.
ALTER TABLE public.users ADD COLUMN IF NOT EXISTS language text, ADD COLUMN IF NOT EXISTS phone text,
       ADD COLUMN IF NOT EXISTS sms_allowed boolean;
CREATE OR REPLACE VIEW public.booking_automation_contacts AS
SELECT b.id AS booking_id, a.audience, person.email::text AS email, person.display_name::text AS name, person.timezone::text AS timezone,
       person.language, s.title::text AS service, other.display_name::text AS with_name, b.location::text AS place,
       b.meeting_link::text AS meeting_link, coalesce(b.is_online, false) AS is_online, provider.timezone::text AS place_timezone,
       person.phone, person.sms_allowed
  FROM public.bookings b
 CROSS JOIN (VALUES ('customer'), ('provider')) AS a (audience)
  LEFT JOIN public.users provider ON provider.id = b.provider_id
  LEFT JOIN public.users person ON person.id = CASE a.audience WHEN 'customer' THEN b.customer_id ELSE b.provider_id END
  LEFT JOIN public.users other ON other.id = CASE a.audience WHEN 'customer' THEN b.provider_id ELSE b.customer_id END
  LEFT JOIN public.services s ON s.id = b.service_id;

-- Five providers, and customers in many time zones. One customer has no time zone, one has no address, one no language,
-- and one a language that is not there. The last three are reached by other channels: Nora has no address, and Otto and Pia
-- once used the app. Pia has removed it since.
INSERT INTO public.users (id, display_name, email, timezone, language, phone, sms_allowed)
SELECT ('00000000-0000-0000-0000-0000000001' || lpad(n::text, 2, '0'))::uuid, name, email, zone, language, phone, phone IS NOT NULL
  FROM (VALUES (1, 'Petra Huber', 'petra@studio.example', 'Europe/Vienna', 'de', NULL),
               (2, 'Omar Haddad', 'omar@studio.example', 'Europe/Vienna', 'ar', NULL),
               (3, 'Ines Duarte', 'ines@studio.example', 'Europe/Lisbon', 'pt', NULL),
               (4, 'Jack Moore', 'jack@studio.example', 'Australia/Sydney', 'en', NULL),
               (5, 'Rosa Lopez', 'rosa@studio.example', 'America/Vancouver', 'es', NULL),
               (11, 'Carla Novak', 'carla@customers.example', 'Europe/Vienna', 'de', NULL),
               (12, 'Ben Adler', 'ben@customers.example', 'Europe/Vienna', 'de-AT', NULL),
               (13, 'Aiko Tanaka', 'aiko@customers.example', 'Asia/Tokyo', 'ja', NULL),
               (14, 'Maya Rao', 'maya@customers.example', 'Asia/Kolkata', 'en', NULL),
               (15, 'Liam Walsh', 'liam@customers.example', 'Europe/Dublin', 'en-GB', NULL),
               (16, 'Zoe Martin', 'zoe@customers.example', 'America/New_York', 'fr-CA', NULL),
               (17, 'Noah Cohen', 'noah@customers.example', 'America/Los_Angeles', 'es-US', NULL),
               (18, 'Freya Berg', 'freya@customers.example', 'Europe/Oslo', 'nb', NULL),
               (19, 'Rita Alves', 'rita@customers.example', 'America/Sao_Paulo', 'pt-BR', NULL),
               (20, 'Ruby Clarke', 'ruby@customers.example', 'Australia/Sydney', NULL, NULL),
               (21, 'Amal Nasser', 'amal@customers.example', NULL, 'ar', NULL),
               (22, 'Lena Vogt', NULL, 'Europe/Vienna', 'pl', NULL),
               (23, 'Nora Lind', NULL, 'Europe/Vienna', 'de', '+43 1 58858 0'),
               (24, 'Otto Klein', 'otto@app.example', 'Europe/Vienna', 'de', NULL),
               (25, 'Pia Sommer', 'pia@app.example', 'Europe/Vienna', 'en', '+43 1 58858 1'))
       AS people (n, name, email, zone, language, phone);

INSERT INTO public.services (id, provider_id, title, duration_minutes)
SELECT ('00000000-0000-0000-0000-0000000002' || lpad(n::text, 2, '0'))::uuid,
       ('00000000-0000-0000-0000-0000000001' || lpad(provider::text, 2, '0'))::uuid, title, minutes
  FROM (VALUES (1, 1, 'Massage', 60), (2, 1, 'Back training', 45), (3, 2, 'German lesson', 50), (4, 3, 'Nutrition advice', 30),
               (5, 4, 'Yoga', 45), (6, 5, 'Breathing course', 40)) AS offered (n, provider, title, minutes);

-- Each booking is in the daytime of both persons: at the studio if both live in Vienna, otherwise online.
INSERT INTO public.bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, total_price,
                      auto_complete_blocked, is_online, location, meeting_link, created_at)
SELECT customer.id, service.provider_id, service.id, status, starts, service.duration_minutes, service.duration_minutes * 1.5, blocked,
       online, CASE WHEN NOT online THEN 'Ringstraße 1, 1010 Wien' END,
       CASE WHEN online THEN 'https://meet.example/' || md5(starts::text) END, $1 - interval '3 days'
       -- The usual bookings, every forty minutes from the second hour on. Some of them are on the next day.
  FROM (SELECT n * interval '40 minutes' + interval '2 hours' AS at, 'confirmed' AS status, false AS blocked, NULL AS who
          FROM generate_series(0, 67) AS n
         UNION ALL VALUES
               (interval '-40 hours', 'confirmed', false, NULL),             -- forgotten: expires
               (interval '3 hours', 'confirmed', true, NULL),                -- blocked: starts, and waits for a person
               (interval '4 hours 30 minutes', 'cancelled', false, NULL),    -- stays cancelled
               (interval '5 hours', 'pending', false, NULL),                 -- never confirmed: stays pending
               (interval '7 hours 10 minutes', 'confirmed', false, 'Lena Vogt'), -- has no address
               (interval '8 hours 50 minutes', 'confirmed', false, 'Nora Lind'), -- has a phone number and no address
               (interval '9 hours 30 minutes', 'confirmed', false, 'Otto Klein'), -- has the app
               (interval '10 hours 10 minutes', 'confirmed', false, 'Pia Sommer'), -- had the app, and has a phone number
               (interval '14 hours 10 minutes', 'confirmed', false, NULL)    -- two of its reminders are due during the outage
       ) AS booked (at, status, blocked, who)
 CROSS JOIN LATERAL (SELECT $1::timestamptz + at AS starts) AS slot
 CROSS JOIN LATERAL (SELECT s.*, p.timezone FROM public.services s JOIN public.users p ON p.id = s.provider_id
                      WHERE extract(hour FROM starts AT TIME ZONE p.timezone) BETWEEN 8 AND 19
                      ORDER BY md5(starts || s.id::text) LIMIT 1) AS service
 CROSS JOIN LATERAL (SELECT u.* FROM public.users u
                      WHERE CASE WHEN who IS NULL THEN email LIKE '%@customers.example' ELSE u.display_name = who END
                        AND (extract(hour FROM starts AT TIME ZONE coalesce(u.timezone, 'UTC')) BETWEEN 7 AND 21
                             OR who IS NOT NULL)
                        -- Carla has a day of her own below.
                        AND (at < interval '24 hours' OR u.display_name <> 'Carla Novak')
                      ORDER BY md5(starts || u.id::text) LIMIT 1) AS customer
 CROSS JOIN LATERAL (SELECT customer.timezone IS DISTINCT FROM 'Europe/Vienna' OR service.timezone <> 'Europe/Vienna' AS online) AS place;

-- Bookings of the day after: the reminders of a day before are due within the simulated day. Each begins at the first such
-- hour of the customer's clock, whatever the hour at which the day starts. Carla comes three times on one day.
INSERT INTO public.bookings (id, customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, total_price,
                      is_online, location, meeting_link, created_at)
SELECT ('00000000-0000-0000-0000-0000000003' || lpad(n::text, 2, '0'))::uuid, customer.id, service.provider_id, service.id,
       'confirmed', starts, service.duration_minutes, service.duration_minutes * 1.5,
       online, CASE WHEN NOT online THEN 'Ringstraße 1, 1010 Wien' END,
       CASE WHEN online THEN 'https://meet.example/' || md5(starts::text) END, $1 - interval '3 days'
       -- Massage, back training and a German lesson for Carla; then back training, a German lesson, yoga and nutrition advice.
  FROM (VALUES (1, 11, 1, interval '10 hours', interval '0'),
               (2, 11, 2, interval '10 hours', interval '1 hour'),
               (3, 11, 3, interval '10 hours', interval '5 hours'),
               (4, 14, 2, interval '16 hours', interval '0'),
               (5, 21, 3, interval '12 hours', interval '0'),
               (6, 13, 5, interval '16 hours', interval '0'),
               (7, 19, 4, interval '12 hours', interval '0')) AS planned (n, person, offered, hour, later)
  JOIN public.users customer ON customer.id = ('00000000-0000-0000-0000-0000000001' || person)::uuid
  JOIN public.services service ON service.id = ('00000000-0000-0000-0000-00000000020' || offered)::uuid
  JOIN public.users provider ON provider.id = service.provider_id
 CROSS JOIN LATERAL (SELECT coalesce(customer.timezone, 'UTC') AS zone) AS clock
 CROSS JOIN LATERAL (SELECT ($1::timestamptz + interval '24 hours') AT TIME ZONE zone AS earliest) AS day_after
 CROSS JOIN LATERAL (SELECT date_trunc('day', earliest) + hour AS same_day) AS hour_there
 CROSS JOIN LATERAL (SELECT CASE WHEN same_day < earliest THEN same_day + interval '1 day' ELSE same_day END AS first) AS chosen
       -- A day on which the clocks are put back has 25 hours.
 CROSS JOIN LATERAL (SELECT least(first AT TIME ZONE zone, $1 + interval '47 hours 30 minutes') + later AS starts) AS slot
 CROSS JOIN LATERAL (SELECT zone <> 'Europe/Vienna' OR provider.timezone <> 'Europe/Vienna' AS online) AS place;
