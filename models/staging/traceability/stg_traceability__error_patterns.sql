-- One row per kind of error that comes back. Its message stays in the raw layer.
select
    id as error_pattern_id,
    tenant_id as tenant_key,
    error_type,
    error_category,
    severity,
    error_count,
    affected_agents,
    hook_type,
    split_part(endpoint_url, '?', 1) as endpoint,
    resolution_success_rate,
    first_occurrence_at,
    last_occurrence_at
from {{ source("traceability", "error_patterns") }}
