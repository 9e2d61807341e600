-- Whether another message goes by a channel of this chain: the one by which it was sent, or any of its own chain.
CREATE OR REPLACE FUNCTION public.booking_automation_shares_channel(chain text, other_chain text, other_via text, other_status text)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT chain = other_chain
        OR string_to_array(chain, '>') && CASE other_status
               WHEN 'completed' THEN ARRAY[coalesce(other_via, split_part(other_chain, '>', 1))]
               ELSE string_to_array(other_chain, '>') END
$$;
