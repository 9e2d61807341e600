-- Part of feedback.sql.
soft AS (
    -- A transient bounce. A message that was delivered before has met an automatic answer.
    INSERT INTO public.booking_automation_soft_bounces (address_hash, message_id, event_id)
    SELECT public.booking_automation_address_hash(k.inner_key, k.outer_key, $8), $2, $1
      FROM public.booking_automation_hash_key k
     WHERE $8 IS NOT NULL AND EXISTS (SELECT FROM recorded)
       AND NOT EXISTS (SELECT FROM public.booking_automation_feedback f WHERE f.event_id = $1 AND f.message_id = $2 AND f.kind = 'delivered')
    ON CONFLICT DO NOTHING
    RETURNING address_hash
),
suppressed AS (
    -- A permanent bounce or a complaint replaces a suppression that would end. After that, an address that bounces softly
    -- again may be suppressed again.
    INSERT INTO public.booking_automation_suppressions AS x (address_hash, reason, message_id, until)
    SELECT DISTINCT ON (a.address_hash) a.address_hash, a.reason, $2, a.until
      FROM (
           -- Without the key, the NULL digest makes the statement fail.
           SELECT public.booking_automation_address_hash(k.inner_key, k.outer_key, address) AS address_hash, $3 AS reason,
                  NULL::timestamptz AS until
             FROM unnest($6::text[]) AS address LEFT JOIN public.booking_automation_hash_key k ON true
           UNION ALL
           -- The number that the message went to; not if it was tried again since, maybe to another one.
           SELECT m.address_hash, $3, NULL
             FROM ours
             JOIN public.booking_automation_sms m ON m.event_id = ours.id
            WHERE $9 AND (ours.attempts <= 1 OR ours.message_id = $2)
           UNION ALL
           SELECT soft.address_hash, 'bounced_softly', clock_timestamp() + interval '14 days'
             FROM soft
            -- With two other messages.
            WHERE (SELECT count(*) FROM public.booking_automation_soft_bounces b
                    WHERE b.address_hash = soft.address_hash AND b.message_id <> $2
                      AND b.bounced_at > clock_timestamp() - interval '30 days') >= 2
           ) AS a
     -- Only for a new event: a repeated one does not suppress an address again after the suppression was lifted.
     WHERE EXISTS (SELECT FROM recorded)
    ON CONFLICT (address_hash) DO UPDATE
       SET reason = excluded.reason, message_id = excluded.message_id, until = excluded.until, created_at = now()
     WHERE x.until <= clock_timestamp() OR x.until IS NOT NULL AND excluded.until IS NULL
    RETURNING 1
)
