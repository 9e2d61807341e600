CREATE OR REPLACE FUNCTION booking_automation_keep_table() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'what happened to bookings is not changed: % on % is refused', TG_OP, TG_TABLE_NAME
          USING ERRCODE = 'restrict_violation';
END
$$;
-- So that no other role can attach it to a table of its own, and write our tables with our rights.
REVOKE EXECUTE ON FUNCTION booking_automation_keep_table() FROM PUBLIC;
