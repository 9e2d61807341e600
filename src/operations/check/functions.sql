-- Functions in `public` that have a name of ours.
--   $1 to $4 ours: the names, and of each its argument types, its result and its language
SELECT p.proname::text AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
       coalesce(p.prokind = 'f' AND l.lanname = ours.language AND p.prorettype = to_regtype(ours.returns)
                AND p.proargtypes::text = array_to_string(ARRAY(
                    SELECT to_regtype(btrim(type))::oid
                      FROM unnest(string_to_array(ours.arguments, ',')) WITH ORDINALITY AS argument (type, nth)
                     ORDER BY nth), ' '), false) AS has_our_signature,
       -- A body that is bound (since 0.3.0), or that of 0.1.0 and 0.2.0.
       p.prosqlbody IS NOT NULL OR md5(p.prosrc) = '9399dc781f619479ca5cb0d18ac5e76d' AS has_our_end,
       pg_get_userbyid(p.proowner)::text AS owner, {is_trusted} AS is_trusted
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS ours (name, arguments, returns, language)
  JOIN pg_proc p ON p.proname = ours.name AND p.pronamespace = 'public'::regnamespace
  JOIN pg_language l ON l.oid = p.prolang
 ORDER BY p.proname, arguments
