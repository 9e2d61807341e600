-- HMAC-SHA-256 of an address. Providers may report an address with other letter case or spacing, so case (ASCII only,
-- whatever the database's collation) and surrounding blanks do not count. The body is a single expression, so that the
-- planner inlines it.
CREATE OR REPLACE FUNCTION public.booking_automation_address_hash(inner_key bytea, outer_key bytea, address text)
RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(outer_key || sha256(inner_key || convert_to(lower(btrim(address, E' \t\n\f\r') COLLATE "C"), 'UTF8')))
$$;
