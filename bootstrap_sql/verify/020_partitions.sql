-- Raises where a function or a right to it is missing.

select
    'ops.month_partition_name(regclass, date)'::regprocedure,
    1 / has_function_privilege(
        'agentbooks_loader', 'ops.create_month_partitions(regclass, date, date)', 'execute'
    )::int,
    1 / has_function_privilege(
        'agentbooks_refresher', 'ops.rows_in_default_partitions()', 'execute'
    )::int,
    1 / has_function_privilege(
        'agentbooks_retention', 'ops.maintain_partitions(int)', 'execute'
    )::int;
