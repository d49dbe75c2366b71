-- Raises where a table, a column or the loader's right is missing.

select run_id, content_sha256, source_file, source_line, loaded_at
from ops.loaded_runs
where false;

select record_sha256, source_file, source_line, reason, record_head, record_bytes, rejected_at
from ops.rejected_records
where false;

select 1 / has_table_privilege('agentbooks_loader', 'ops.rejected_records', 'insert')::int;
