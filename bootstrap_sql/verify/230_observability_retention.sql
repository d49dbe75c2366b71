-- Raises where the function or a right to it is missing, or where a user may call it.

select
    1 / has_function_privilege(
        'agentbooks_retention', 'observability.cleanup_old_traces(int, int)', 'execute'
    )::int,
    1 / (not has_function_privilege(
        'authenticated', 'observability.cleanup_old_traces(int, int)', 'execute'
    ))::int;
