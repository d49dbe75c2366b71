drop table ops.rejected_records;
drop table ops.loaded_runs;
