-- An execution that is over but has no end, or runs on after it: it would be open for ever, or a
-- duration be missing. Warns, for some writers close an execution by its status alone.
{{ config(severity="warn") }}

with execution_traces as (
    select * from {{ ref("stg_traceability__execution_traces") }}
)

select
    trace_id,
    status_recorded,
    ended_at
from execution_traces
where (status = 'running') <> (ended_at is null)
