-- One row per call of a deployed workflow from outside.
select
    id as usage_log_id,
    execution_id,
    workflow_id,
    tenant_id as tenant_key,
    user_id::text as user_id,
    cost::numeric as cost_recorded_usd,
    duration_ms,
    {{ conform_status("status") }} as status,
    status as status_recorded,
    created_at as called_at
from {{ source("observability", "usage_logs") }}
