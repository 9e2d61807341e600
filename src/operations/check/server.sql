-- The server, the session, and who else may create objects beside ours.
SELECT current_setting('server_version_num')::integer AS version_number,
       current_setting('server_version') AS version,
       current_database()::text AS database,
       current_user::text AS role,
       current_setting('server_encoding') AS encoding,
       current_setting('session_replication_role') AS replication_role,
       -- Grants to others than the schema's owner, this role, the owner of `bookings` and superusers. A schema without
       -- an access list has the default one.
       ARRAY(SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
               FROM pg_namespace n
              CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
               LEFT JOIN pg_roles r ON r.oid = a.grantee
              WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE'
                AND a.grantee <> n.nspowner AND r.rolsuper IS NOT TRUE AND r.rolname IS DISTINCT FROM current_user
                AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass('public.bookings') AND c.relowner = a.grantee)
              ORDER BY 1) AS creators
