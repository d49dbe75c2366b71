-- Raises where the function or the right to it is missing, or where the parts do not add up to one.

select
    1 / has_function_privilege(
        'authenticated',
        'traceability.match_score(double precision, text[], text[], boolean, boolean, numeric)',
        'execute'
    )::int,
    1 / (traceability.match_score(1, '{a}', '{A}', true, true, 1) = 1)::int;
