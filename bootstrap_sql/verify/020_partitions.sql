-- Raises where a function or the loader's right to it is missing.

select
    'ops.month_partition_name(regclass, date)'::regprocedure,
    1 / has_function_privilege(
        'agentbooks_loader', 'ops.create_month_partitions(regclass, date, date)', 'execute'
    )::int;
