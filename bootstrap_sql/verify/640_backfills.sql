-- Raises where something is missing.

select name, table_name, reached, rows_seen, rows_written, refused, started_at, finished_at
from ops.backfills
where false;

select
    'raaf.attribute(jsonb, text)'::regprocedure,
    'raaf.document(jsonb, text, text[])'::regprocedure,
    'raaf.columns_from_attributes(text, text, jsonb)'::regprocedure,
    'raaf.name_agents(regclass)'::regprocedure,
    'raaf.backfill_spans(int)'::regprocedure,
    'ops.validate_checks(regclass)'::regprocedure;
