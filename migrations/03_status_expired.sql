-- The status CHECK must allow 'expired'. Every CHECK over `status` alone that refuses it is replaced, under its own
-- name, by one that also allows 'expired'. NOT VALID: no row is read while the lock is held; the next step validates it
-- under a lock that allows reads and writes.
DO $$
DECLARE
    found   record;
    accepts boolean;
BEGIN
    FOR found IN
        SELECT c.conname AS name,
               pg_get_expr(c.conbin, c.conrelid) AS expression,
               format_type(a.atttypid, a.atttypmod) AS type
          FROM pg_constraint c
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attname = 'status'
         WHERE c.conrelid = 'public.bookings'::regclass
           AND c.contype = 'c'
           AND c.conkey = ARRAY[a.attnum]
    LOOP
        -- Evaluate the expression instead of parsing its text.
        EXECUTE format('SELECT %s FROM (SELECT %L::%s AS status) AS bookings',
                       found.expression, 'expired', found.type)
           INTO accepts;
        CONTINUE WHEN accepts IS NOT FALSE;
        EXECUTE format('ALTER TABLE public.bookings DROP CONSTRAINT %I,'
                       ' ADD CONSTRAINT %I CHECK ((%s) OR status = %L) NOT VALID',
                       found.name, found.name, found.expression, 'expired');
    END LOOP;
END
$$;
