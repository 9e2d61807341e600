-- Functions in `public` that have a name of ours.
--   $1 to $5 ours: the names, and of each its argument types, its result, its language and its body
SELECT p.proname::text AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
       coalesce(p.prokind = 'f' AND l.lanname = ours.language AND p.prorettype = to_regtype(ours.returns)
                AND p.proargtypes::text = array_to_string(ARRAY(
                    SELECT to_regtype(btrim(type))::oid
                      FROM unnest(string_to_array(ours.arguments, ',')) WITH ORDINALITY AS argument (type, nth)
                     ORDER BY nth), ' '), false) AS has_our_signature,
       p.prosrc = ours.body AS has_our_body
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS ours (name, arguments, returns, language, body)
  JOIN pg_proc p ON p.proname = ours.name AND p.pronamespace = 'public'::regnamespace
  JOIN pg_language l ON l.oid = p.prolang
 ORDER BY p.proname, arguments
