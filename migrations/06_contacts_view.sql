-- The only place that joins names, addresses, time zones, language and places. For a schema that differs from ours,
-- replace only this view (before or after this migration). One row per booking and audience.
DO $$
BEGIN
    IF to_regclass('public.booking_automation_contacts') IS NULL THEN
        CREATE VIEW public.booking_automation_contacts AS
        SELECT b.id                     AS booking_id,
               a.audience               AS audience,       -- the recipient
               person.email             AS email,
               person.display_name      AS name,
               person.timezone          AS timezone,       -- IANA name
               NULL::text               AS language,       -- BCP 47 tag
               s.title                  AS service,
               other.display_name       AS with_name,      -- the other person
               b.location               AS place,
               b.meeting_link           AS meeting_link,
               coalesce(b.is_online, false) AS is_online,
               provider.timezone        AS place_timezone  -- the zone of the place
          FROM public.bookings b
         CROSS JOIN (VALUES ('customer'), ('provider')) AS a (audience)
          LEFT JOIN public.users provider ON provider.id = b.provider_id
          LEFT JOIN public.users person ON person.id = CASE a.audience WHEN 'customer' THEN b.customer_id ELSE b.provider_id END
          LEFT JOIN public.users other  ON other.id  = CASE a.audience WHEN 'customer' THEN b.provider_id ELSE b.customer_id END
          LEFT JOIN public.services s   ON s.id = b.service_id;
        PERFORM public.booking_automation_make_private('public.booking_automation_contacts'::regclass);
    END IF;
EXCEPTION WHEN undefined_column OR undefined_table OR undefined_object THEN
    RAISE EXCEPTION 'the view booking_automation_contacts does not fit these tables: %', SQLERRM
          USING HINT = 'create public.booking_automation_contacts yourself, with the columns that docs/install.md lists, and run migrate again';
END
$$;
