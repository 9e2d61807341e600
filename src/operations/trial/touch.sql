-- Stands for the flags' UPDATE of the booking $1 in a database without flags: it changes nothing but fires the triggers.
UPDATE public.bookings AS b SET id = b.id WHERE b.id OPERATOR(pg_catalog.=) $1
