-- Whether what this session says of itself may decide anything: who changes a booking, why, with which refund, and at what
-- time. Any role can set such settings; a role that may insert into the audit trail could write there whatever it wants
-- without them, so to believe it gives it nothing.
CREATE OR REPLACE FUNCTION public.booking_automation_is_trusted()
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT has_table_privilege(session_user, 'public.booking_automation_events', 'INSERT')
$$;
