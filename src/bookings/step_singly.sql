-- One automatic step of the bookings that step_candidates.sql locked, one by one: one that the user's database refuses does
-- not stop the others. It ends early when it takes longer than {seconds}, and leaves the outcome in a setting. It runs with
-- the settings of the user's database, so every operator, function and type is named with its schema.
DO $step$
<<ours>>
DECLARE
    as_of      CONSTANT pg_catalog.timestamptz := '{as_of}';
    as_of_text CONSTANT pg_catalog.text := '{as_of}';
    run_id     CONSTANT pg_catalog.text := '{run_id}';
    began      CONSTANT pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    d          record;
    has_moved  pg_catalog.bool;
    state      pg_catalog.text;
    message    pg_catalog.text;
    hint       pg_catalog.text;
    ended_early pg_catalog.bool := false;
    moved      pg_catalog.int8 := 0;
    tried      pg_catalog.int8 := 0;
    refused    pg_catalog.jsonb := '[]';
BEGIN
    FOR d IN
        SELECT due.key::pg_catalog.uuid AS id, due.value AS due_at
          FROM pg_catalog.json_each_text(pg_catalog.current_setting('booking_automation.due')::pg_catalog.json) AS due
    LOOP
        -- The next one has at least as much time again.
        ours.ended_early := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) ours.began
                            OPERATOR(pg_catalog.>) pg_catalog.make_interval(secs => {seconds});
        EXIT WHEN ours.ended_early;
        ours.tried := ours.tried OPERATOR(pg_catalog.+) 1;
        BEGIN
            ours.state := NULL;
            CONTINUE WHEN NOT (SELECT {is_live} FROM public.bookings AS b WHERE b.id OPERATOR(pg_catalog.=) d.id);
            UPDATE public.bookings AS b SET status = '{to}'{columns}
             WHERE b.id OPERATOR(pg_catalog.=) d.id AND b.status OPERATOR(pg_catalog.=) '{from}';
            -- A trigger can keep the status, or set it back.
            ours.has_moved := EXISTS (SELECT FROM public.bookings AS b
                                       WHERE b.id OPERATOR(pg_catalog.=) d.id AND b.status OPERATOR(pg_catalog.=) '{to}');
            BEGIN
                -- The deferred constraints; undone, so that they stay deferred.
                SET CONSTRAINTS ALL IMMEDIATE;
                RAISE EXCEPTION USING ERRCODE = 'BA001';
            EXCEPTION WHEN SQLSTATE 'BA001' THEN
                NULL;
            END;
        -- These two are not among the others.
        EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
            ours.has_moved := false;
            GET STACKED DIAGNOSTICS ours.state = RETURNED_SQLSTATE, ours.message = MESSAGE_TEXT, ours.hint = PG_EXCEPTION_HINT;
        END;
        IF ours.has_moved THEN
            ours.moved := ours.moved OPERATOR(pg_catalog.+) 1;
        ELSE
            ours.refused := ours.refused OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(
                'booking_id', d.id, 'state', ours.state, 'message', pg_catalog.left(ours.message, 1000),
                'hint', pg_catalog.left(ours.hint, 1000)));
        END IF;
        -- The time limit counts once: without it, the rest would run without one.
        ours.ended_early := COALESCE(ours.state OPERATOR(pg_catalog.=) '57014', false);
        EXIT WHEN ours.ended_early;
    END LOOP;
    PERFORM pg_catalog.set_config('booking_automation.outcome', pg_catalog.jsonb_build_object(
        'moved', ours.moved, 'tried', ours.tried, 'ended_early', ours.ended_early, 'refused', ours.refused)::pg_catalog.text, true);
END
$step$
