-- A boolean: may {owner} own what the role of the passes runs and writes? Its owner can let that role do anything, by the
-- text of a function or a trigger on a table.
({owner} = (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
 OR (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = {owner})
 OR coalesce(pg_has_role({owner}, (SELECT b.relowner FROM pg_class b WHERE b.oid = to_regclass('public.bookings')), 'USAGE'), false))
