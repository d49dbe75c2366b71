-- One row per execution: a prompt's root, or a delegation below it.
select
    id as trace_id,
    correlation_id,
    root_id,
    parent_id,
    session_id,
    tenant_id as tenant_key,
    nullif(btrim(user_id), '') as user_id,
    source as trigger_source,
    started_at,
    completed_at as ended_at,
    duration_ms::numeric as duration_recorded_ms,
    {{ conform_status("status") }} as status,
    status as status_recorded,
    success as is_success,
    error_type
from {{ source("traceability", "execution_traces") }}
