-- HMAC-SHA-256 of an address. Providers tell an address as it was written, or not quite: letters count alike (ASCII, whatever
-- the database's collation makes of them), and blanks around it do not. One expression of its arguments, so that the planner
-- puts it in its place.
CREATE OR REPLACE FUNCTION booking_automation_address_hash(inner_key bytea, outer_key bytea, address text)
RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(outer_key || sha256(inner_key || convert_to(lower(btrim(address, E' \t\n\f\r') COLLATE "C"), 'UTF8')))
$$;
