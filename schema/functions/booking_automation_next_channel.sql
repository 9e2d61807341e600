-- The channel that follows one in a chain, such as `sms` after `push` in `push>sms>email`; NULL: it is the last one.
CREATE OR REPLACE FUNCTION public.booking_automation_next_channel(chain text, via text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT nullif(split_part(split_part('>' || chain || '>', '>' || via || '>', 2), '>', 1), '')
$$;
