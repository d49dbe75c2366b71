drop function traceability.cleanup_old_data(int, int, boolean);
drop function traceability.get_trace_timeline(uuid);
drop function traceability.record_error_pattern(text, text, text, text, text, uuid);
drop function traceability.record_pattern_usage(uuid, uuid, numeric, boolean, int);
