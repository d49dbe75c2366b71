-- Raises where a table, a function or a right is missing.

select
    'ops.erase_from_marts(bigint)'::regprocedure,
    1 / has_table_privilege('agentbooks_retention', 'ops.backups', 'delete')::int,
    1 / has_function_privilege(
        'agentbooks_retention', 'ops.erase_rows(bigint, regclass, regclass, int, text, int)', 'execute'
    )::int,
    1 / (count(*) > 40)::int
from ops.personal_data;
