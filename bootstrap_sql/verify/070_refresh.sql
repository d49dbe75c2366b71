-- Raises where a table, a column or a function is missing.

select
    'ops.server_identity()'::regprocedure,
    'ops.unseen_transactions(pg_snapshot, text)'::regprocedure,
    'ops.collect_changes()'::regprocedure,
    'ops.start_run(regclass[])'::regprocedure,
    'ops.note_content(regclass)'::regprocedure,
    'ops.note_view(text, text)'::regprocedure,
    'ops.unseen_changes(text, text[])'::regprocedure,
    'ops.relation_name(regclass)'::regprocedure,
    'ops.archive_name(regclass)'::regprocedure,
    'ops.in_periods(text, date[], boolean)'::regprocedure,
    'ops.of_periods(text, date[])'::regprocedure,
    'ops.sealed_table(text)'::regprocedure,
    'ops.rows_checksum(text)'::regprocedure,
    'ops.seal_periods(regclass, date[])'::regprocedure,
    'ops.seal_period(regclass, date)'::regprocedure,
    'ops.freeze_period(regclass, date)'::regprocedure,
    'ops.thaw_period(regclass, date)'::regprocedure,
    'ops.restore_frozen_periods(regclass)'::regprocedure,
    'ops.refresh(regclass, text, text, text, text, text[], text, boolean)'::regprocedure,
    1 / has_schema_privilege('agentbooks_refresher', 'sealed', 'create')::int;

select is_only_row, seen, server
from ops.collections
where false;

select table_name, content_hash
from ops.content_hashes
where false;

select target, relation, grain, grain_column, dirty_sql, model_hash, seen, refreshed_at
from ops.refreshes
where false;

select target, period, state, rows_before, rows_after, seen, model_hash, refreshed_at
from ops.refreshed_periods
where false;

select seal_number, target, period, sealed_rows, checksum, model_hash, column_names, sealed_at
from ops.seals
where false;

select view, relation, sql_hash
from ops.built_views
where false;
