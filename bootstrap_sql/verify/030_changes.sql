-- Raises where a function, a column, the index or a right is missing.

select
    'ops.stamp_change()'::regprocedure,
    'ops.stamp_change_and_update()'::regprocedure,
    'ops.mark_departed_rows()'::regprocedure,
    'ops.capture_departures(regclass, text)'::regprocedure,
    'ops.idx_departed_rows_change_id'::regclass,
    1 / has_table_privilege('agentbooks_refresher', 'ops.departed_rows', 'select')::int;

select
    table_name,
    keys,
    change_id
from ops.departed_rows
where false;
