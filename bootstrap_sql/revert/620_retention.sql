drop function ops.rows_after_archiving();
drop function ops.retention_findings(regclass);
drop function ops.strip_payloads(regclass, text, jsonb, int, boolean, text);
drop function ops.views_that_read(regclass, text);
drop function ops.payload_parts(text);
drop function ops.interval_of(text);
drop table ops.retention_overrides;
