-- Raises where the function or the right to it is missing.

select 1 / has_function_privilege(
    'authenticated',
    'traceability.match_patterns(public.vector, text[], text, jsonb, int)',
    'execute'
)::int;
