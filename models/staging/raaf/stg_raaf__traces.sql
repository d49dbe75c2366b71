-- One row per trace of the agent framework.
select
    trace_id,
    tenant_id as tenant_key,
    workflow_name as workflow,
    group_id,
    coalesce(started_at, created_at) as started_at,
    ended_at,
    {{ conform_status("status") }} as status,
    status as status_recorded
from {{ source("raaf", "raaf_tracing_traces") }}
