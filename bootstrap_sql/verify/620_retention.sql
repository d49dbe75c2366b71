-- Raises where a table, a function or a right is missing.

select
    'ops.retention_findings(regclass)'::regprocedure,
    'ops.rows_after_archiving()'::regprocedure,
    'ops.payload_parts(text)'::regprocedure,
    'ops.views_that_read(regclass, text)'::regprocedure,
    1 / has_table_privilege('agentbooks_retention', 'ops.retention_overrides', 'delete')::int,
    1 / has_function_privilege(
        'agentbooks_retention', 'ops.strip_payloads(regclass, text, jsonb, int, boolean, text)', 'execute'
    )::int,
    1 / (ops.interval_of('P1Y6M') = interval '18 months')::int;
