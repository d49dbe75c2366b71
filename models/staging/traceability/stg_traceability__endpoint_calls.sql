-- One row per call of a service, retries included.
select
    id as endpoint_call_id,
    trace_id,
    hook_execution_id,
    tenant_id as tenant_key,
    service,
    -- What follows the path is a query, and may say what was searched for.
    split_part(endpoint_url, '?', 1) as endpoint,
    method,
    status_code,
    started_at,
    completed_at as ended_at,
    duration_ms,
    success as is_success,
    error_type,
    retry_count,
    quality_score
from {{ source("traceability", "endpoint_calls") }}
