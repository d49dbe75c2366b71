-- Raises where a function or a right to it is missing, or where everybody has it.

select
    'ops.move_month(regclass, date, boolean)'::regprocedure,
    'ops.move_rows(regclass, jsonb, int, boolean)'::regprocedure,
    'ops.columns_of(regclass)'::regprocedure,
    'ops.due_rows(regclass, jsonb)'::regprocedure,
    'ops.is_due(regclass, jsonb)'::regprocedure,
    'ops.take_lifecycle_lock()'::regprocedure,
    'ops.unseen_rows()'::regprocedure,
    'ops.nothing_leans_on(regclass)'::regprocedure,
    1 / has_function_privilege(
        'agentbooks_refresher', 'ops.refuse_archived_rows(regclass, boolean)', 'execute'
    )::int,
    1 / has_function_privilege('agentbooks_retention', 'ops.archive_month(regclass, date)', 'execute')::int,
    1 / has_function_privilege('agentbooks_retention', 'ops.unarchive_month(regclass, date)', 'execute')::int,
    1 / has_function_privilege(
        'agentbooks_retention', 'ops.archive_rows(regclass, jsonb, int)', 'execute'
    )::int,
    1 / has_function_privilege(
        'agentbooks_retention', 'ops.unarchive_rows(regclass, jsonb, int)', 'execute'
    )::int,
    1 / (not has_function_privilege('service_role', 'ops.archive_month(regclass, date)', 'execute'))::int;
