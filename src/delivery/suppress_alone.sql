-- Part of feedback.sql, before `migrate`.
suppressed AS (
    INSERT INTO public.booking_automation_suppressions (address_hash, reason, message_id)
    SELECT DISTINCT public.booking_automation_address_hash(k.inner_key, k.outer_key, address), $3, $2
      -- Only for a new event: a repeated one does not suppress an address again after the suppression was lifted.
      -- Without the key, the NULL digest makes the statement fail.
      FROM recorded CROSS JOIN unnest($6::text[]) AS address LEFT JOIN public.booking_automation_hash_key k ON true
    ON CONFLICT DO NOTHING
    RETURNING 1
)
