-- Grants something new, such as 'SELECT ON a_table', to the roles of passes: those that may insert into the runs' table. So
-- passes go on after an update without a GRANT of the owner's.
CREATE OR REPLACE FUNCTION public.booking_automation_grant_to_passes(privileges text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pass record;
BEGIN
    FOR pass IN
        SELECT DISTINCT pg_get_userbyid(a.grantee) AS role
          FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
         WHERE c.oid = 'public.automation_runs'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT %s TO %I', privileges, pass.role);
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION public.booking_automation_grant_to_passes(text) FROM PUBLIC;
