-- Raises where something is missing.

select
    relation_name, table_name, time_column, key_columns, state, file_node, blocks, reached, rows_copied,
    clock, leaves, started_at, switched_at
from ops.growths
where false;

select
    'growing'::regnamespace,
    'outgrown'::regnamespace,
    'ops.growing_name(text, text, text)'::regprocedure,
    'ops.growth_key(regclass, text)'::regprocedure,
    'ops.growth_time(regclass)'::regprocedure,
    'ops.log_growth(text, text[])'::regprocedure,
    'ops.unlog_growth(text)'::regprocedure,
    'ops.apply_growth(ops.growths, int)'::regprocedure,
    'ops.swap_growth(ops.growths, boolean)'::regprocedure,
    'ops.lock_growth(ops.growths)'::regprocedure,
    'ops.growth_obstacles(regclass, text)'::regprocedure,
    'ops.start_growth(regclass, text)'::regprocedure,
    'ops.grow(regclass, int)'::regprocedure,
    'ops.switch_growth(regclass)'::regprocedure,
    'ops.undo_growth(regclass)'::regprocedure,
    'ops.finish_growth(regclass)'::regprocedure,
    'ops.drop_growth(regclass)'::regprocedure;
