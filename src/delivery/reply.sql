-- Records a reply to an SMS, about the message that it answers: the one with this id of the provider's, else the latest
-- one to this number within seven days. No row: no SMS went there. An opt-out, or its end, is taken at any time.
--   $1 number  $2 the provider's id of the reply  $3 what it means  $4 the provider's id of the message (NULL: not told)
--   $5 SMS to one person in a day, at most  $6 when it was said
WITH writer AS MATERIALIZED (
    SELECT h.address_hash,
           -- An older reply that arrives late undoes no newer one.
           NOT EXISTS (SELECT FROM public.booking_automation_sms_replies r
                        WHERE r.address_hash = h.address_hash AND r.meaning IN ('opted_out', 'opted_in') AND r.said_at > $6) AS is_latest
      FROM (SELECT public.booking_automation_address_hash(k.inner_key, k.outer_key, $1) AS address_hash
              FROM public.booking_automation_hash_key k OFFSET 0) AS h
), message AS MATERIALIZED (
    SELECT e.id, e.booking_id, e.audience, e.recipient, e.starts_at, e.person_id, w.address_hash
      FROM writer w
      JOIN public.booking_automation_sms m ON m.address_hash = w.address_hash
      JOIN public.booking_automation_events e ON e.id = m.event_id
     WHERE e.event_data -> 'forgotten' IS NULL
       AND (e.message_id = $4 OR m.claimed_at > now() - interval '7 days' OR $3 IN ('opted_out', 'opted_in'))
     ORDER BY (e.message_id = $4) IS TRUE DESC,
              -- C and N are about a question, while it is one.
              ($3 IN ('attends', 'cannot_attend') AND e.event_type = 'reminder_sent' AND e.starts_at > public.booking_automation_now()
               AND EXISTS (SELECT FROM public.reminder_rules asking
                            WHERE asking.name = e.rule AND asking.audience = e.audience
                              AND to_jsonb(asking) ->> 'asks_attendance' = 'true')) DESC,
              m.claimed_at DESC, e.seq DESC
     LIMIT 1
), stored AS (
    -- SNS may deliver it twice.
    INSERT INTO public.booking_automation_sms_replies (inbound_id, event_id, address_hash, meaning, said_at)
    SELECT $2, m.id, m.address_hash, $3, $6 FROM message m
    ON CONFLICT (inbound_id) DO NOTHING
    RETURNING address_hash
), suppressed AS (
    -- One that does not end stays as it is: START lifts an opt-out alone.
    INSERT INTO public.booking_automation_suppressions AS x (address_hash, reason, message_id)
    SELECT stored.address_hash, $3, $2
      FROM stored
      JOIN writer w USING (address_hash)
     WHERE $3 = 'opted_out' AND w.is_latest
    ON CONFLICT (address_hash) DO UPDATE
       SET reason = excluded.reason, message_id = excluded.message_id, until = NULL, created_at = now()
     WHERE x.until IS NOT NULL
), lifted AS (
    -- No other suppression: its cause has not ended. The number once replied to us, even if its messages are no longer on
    -- record.
    DELETE FROM public.booking_automation_suppressions x
     USING writer w
     WHERE $3 = 'opted_in' AND w.is_latest AND x.address_hash = w.address_hash AND x.reason = 'opted_out'
)
SELECT m.id, m.booking_id, m.starts_at, m.audience = 'customer' AS is_customer, m.recipient <> '' AS is_guest,
       EXISTS (SELECT FROM stored) AS is_new,
       NOT EXISTS (SELECT FROM public.booking_automation_suppressions x
                    WHERE x.address_hash = m.address_hash AND (x.until IS NULL OR x.until > now()))
       AND (SELECT count(*) FROM public.booking_automation_sms s
             WHERE s.address_hash = m.address_hash AND s.claimed_at > now() - interval '1 day') < $5 AS may_be_answered,
       -- What was sent back to the person in the last day.
       EXISTS (SELECT FROM public.booking_automation_sms_replies r
                WHERE r.address_hash = m.address_hash AND r.answer = 'contact'
                  AND r.received_at > now() - interval '1 day') AS knows_contact,
       EXISTS (SELECT FROM public.booking_automation_sms_replies r
                WHERE r.address_hash = m.address_hash AND r.answer = 'link' AND r.event_id = m.id
                  AND r.received_at > now() - interval '1 day') AS knows_link,
       (SELECT p.language FROM public.booking_automation_preferences p WHERE p.person_id = m.person_id::text) AS language,
       public.booking_automation_now() AS as_of
  FROM message m
