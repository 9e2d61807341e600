-- Remembers what a reply is answered with, before the answer leaves. It counts as an SMS to the person.
--   $1 the provider's id of the reply  $2 what it is answered with  $3 the answer's id
WITH answered AS (
    UPDATE public.booking_automation_sms_replies SET answer = $2, answer_id = $3
     WHERE inbound_id = $1
    RETURNING address_hash
)
INSERT INTO public.booking_automation_sms (event_id, address_hash, claimed_at)
SELECT $3, address_hash, clock_timestamp() FROM answered
