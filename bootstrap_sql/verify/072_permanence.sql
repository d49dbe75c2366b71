-- Raises where a table, a column or a function is missing.

select
    'ops.month_clock(regclass)'::regprocedure,
    'ops.month_rows(regclass, date)'::regprocedure,
    'ops.month_partitions(regclass, date)'::regprocedure,
    'ops.column_checksums(regclass, text, regclass)'::regprocedure,
    'ops.file_columns(regclass, jsonb)'::regprocedure,
    'ops.need_file_columns(regclass, date)'::regprocedure,
    'ops.keys_of_month(regclass, date)'::regprocedure,
    'ops.days_led_to(text, text)'::regprocedure,
    'ops.readers(text)'::regprocedure,
    'ops.freeze_periods(regclass, date[])'::regprocedure,
    'ops.freeze_month(regclass, date)'::regprocedure,
    'ops.freeze_what_has_left(regclass, text, text[], text, text)'::regprocedure,
    'ops.note_moved_rows(regclass, text, text, text)'::regprocedure,
    'ops.note_late_rows(text, text[], text, date[])'::regprocedure,
    'ops.row_clock(regclass)'::regprocedure,
    'ops.hold_condition(regclass, ops.legal_holds)'::regprocedure,
    'ops.free_condition(regclass)'::regprocedure,
    'ops.holds_on(regclass, text)'::regprocedure,
    'ops.departure_refusals(regclass, date)'::regprocedure,
    'ops.departing_keys(regclass, date)'::regprocedure,
    'ops.remove_month(regclass, date)'::regprocedure,
    'ops.holds_on_departed(text, date)'::regprocedure,
    'ops.least_cold_time()'::regprocedure,
    'ops.purge_month(regclass, date, text)'::regprocedure,
    'ops.thaw_month(regclass, date)'::regprocedure,
    'ops.staged_name(regclass, date)'::regprocedure,
    'ops.stage_month(regclass, date)'::regprocedure,
    'ops.restore_month(regclass, date)'::regprocedure;

select table_name, month, seen, readers, frozen_at, removed_at
from ops.departures
where false;

select target, period, table_name, month
from ops.frozen_for
where false;

select table_name, month, key, day, followed_by, found_by, is_orphaned, tenant_id
from ops.departed_keys
where false;

select table_name, row, day, target, period, change_id, arrived_at
from ops.late_rows
where false;

select
    hold_id, subject_id, session_id, trace_id, table_name, first_day, last_day, reason, placed_by, placed_at,
    released_at
from ops.legal_holds
where false;

select table_name, month, url, rows, checksums, schema, code_version, state
from ops.archive_files
where false;

select session_id, sequence, previous_hash, row_hash, day
from ops.departed_audit_links
where false;

select target, missing_columns, frozen_days, first_day, last_day
from ops.incomplete_marts
where false;

select table_name, clock
from ops.month_clocks
where false;

select table_name, month, rows, bytes, files, policy, purged_by, purged_at
from ops.purges
where false;
