-- Whether a function of the user calls dblink.
SELECT EXISTS (SELECT FROM pg_extension x WHERE x.extname = 'dblink')
       AND EXISTS (SELECT FROM pg_proc p
                    WHERE p.prosrc ~* '\mdblink'
                      AND NOT EXISTS (SELECT FROM pg_depend d
                                       WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')) AS calls_dblink
