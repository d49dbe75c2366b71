-- Raises where a function or a right to it is missing, or where a user may clean up.

select
    1 / has_function_privilege(
        'service_role',
        'traceability.record_pattern_usage(uuid, uuid, numeric, boolean, int)',
        'execute'
    )::int,
    1 / has_function_privilege(
        'service_role',
        'traceability.record_error_pattern(text, text, text, text, text, uuid)',
        'execute'
    )::int,
    1 / has_function_privilege(
        'authenticated', 'traceability.get_trace_timeline(uuid)', 'execute'
    )::int,
    1 / has_function_privilege(
        'agentbooks_retention', 'traceability.cleanup_old_data(int, int, boolean)', 'execute'
    )::int,
    1 / (not has_function_privilege(
        'authenticated', 'traceability.cleanup_old_data(int, int, boolean)', 'execute'
    ))::int;
