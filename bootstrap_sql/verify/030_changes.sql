-- Raises where a function, a column, the index or a right is missing.

select
    'ops.stamp_change()'::regprocedure,
    'ops.stamp_change_and_update()'::regprocedure,
    'ops.raise_version()'::regprocedure,
    'ops.mark_departed_rows()'::regprocedure,
    'ops.capture_changes(regclass, text)'::regprocedure,
    'ops.is_lifecycle()'::regprocedure,
    'ops.lifecycle_transactions'::regclass,
    'ops.idx_changes_change_id'::regclass,
    1 / (not has_function_privilege('agentbooks_retention', 'ops.set_lifecycle(boolean)', 'execute'))::int,
    1 / has_table_privilege('agentbooks_refresher', 'ops.changes', 'select, insert')::int;

select
    table_name,
    keys,
    change_id
from ops.changes
where false;

select
    table_name,
    keys
from ops.captured_tables
where false;
