-- Hands the booking $1 over to step.sql and to the audit trigger, as step_candidates.sql does.  $2 the run
SELECT set_config('booking_automation.run_id', $2, true),
       set_config('booking_automation.due', json_build_object($1::text, now())::text, true)
