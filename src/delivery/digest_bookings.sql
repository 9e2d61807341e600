-- The bookings of the digests among the messages that claim_candidates.sql locked, handed over to digest_contacts.sql: those
-- that are confirmed and still to come.
--   $1 the moment to decide by (NULL: the clock)  $2 bookings of a digest, at most
WITH digest AS MATERIALIZED (
    SELECT e.id, e.audience, e.person_id, e.local_day, c.position,
           (e.event_data #>> '{digest,begins}')::timestamptz AS begins, (e.event_data #>> '{digest,ends}')::timestamptz AS ends,
           e.event_data #> '{digest,people}' AS people
      FROM unnest(current_setting('booking_automation.events')::uuid[]) WITH ORDINALITY AS c (id, position)
      JOIN public.booking_automation_events e ON e.id = c.id
     WHERE e.local_day IS NOT NULL
), span AS MATERIALIZED (
    SELECT greatest(min(begins), coalesce($1, clock_timestamp())) AS begins, max(ends) AS ends FROM digest
), referred AS MATERIALIZED (
    -- The ids by which bookings refer to the person.
    SELECT d.*, referred_id::uuid FROM digest d CROSS JOIN LATERAL jsonb_array_elements_text(d.people) AS referred_id
), booking AS (
    -- Columns that bookings may lack. Where it has them, the names mean its own.
    SELECT b.*
      FROM (SELECT NULL::uuid AS customer_id, NULL::uuid AS provider_id) AS absent
     CROSS JOIN LATERAL (
           SELECT b.id, b.scheduled_at, customer_id, provider_id
             FROM public.bookings b
            WHERE b.status = 'confirmed' AND b.scheduled_at > (SELECT begins FROM span) - interval '1 second'
              AND b.scheduled_at < (SELECT ends FROM span)
           ) AS b
), found AS MATERIALIZED (
    SELECT r.position, r.id, r.audience, r.person_id, r.begins, r.ends, b.id AS booking_id, b.scheduled_at
      FROM referred r JOIN booking b ON b.provider_id = r.referred_id
     WHERE r.audience = 'provider'
    UNION ALL
    SELECT r.position, r.id, r.audience, r.person_id, r.begins, r.ends, b.id, b.scheduled_at
      FROM referred r JOIN booking b ON b.customer_id = r.referred_id
     WHERE r.audience = 'customer'
), handed_over AS MATERIALIZED (
    SELECT f.*, row_number() OVER (PARTITION BY f.id ORDER BY f.scheduled_at, f.booking_id) AS turn
      FROM found f
     WHERE f.scheduled_at >= f.begins AND f.scheduled_at < f.ends AND f.scheduled_at > coalesce($1, clock_timestamp())
       -- Asked of these alone: the function may fail for a booking of another person.
       AND (SELECT {is_live} FROM public.bookings b WHERE b.id = f.booking_id)
)
SELECT (SELECT array_agg(id ORDER BY position) FROM digest) AS ids, (SELECT array_agg(local_day ORDER BY position) FROM digest) AS days,
       set_config('booking_automation.events', coalesce(array_agg(id ORDER BY position, turn), '{}')::text, true),
       set_config('booking_automation.bookings', coalesce(array_agg(booking_id ORDER BY position, turn), '{}')::text, true),
       set_config('booking_automation.audiences', coalesce(array_agg(audience ORDER BY position, turn), '{}')::text, true),
       set_config('booking_automation.people', coalesce(array_agg(person_id ORDER BY position, turn), '{}')::text, true)
  FROM handed_over
 WHERE turn <= $2
