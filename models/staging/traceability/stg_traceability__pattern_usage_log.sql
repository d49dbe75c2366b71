-- One row per use of a pattern.
select
    id as pattern_use_id,
    pattern_id,
    trace_id,
    tenant_id as tenant_key,
    coalesce(
        {{ loaded_run_id() }},
        case when metadata ? 'learned' then metadata ->> 'run_id' end,
        trace_id::text
    ) as run_id,
    -- Who learned of a use from another system's run says which.
    case
        when metadata ? 'learned' then metadata ->> 'source_system'
        when trace_id is null then 'observability'
        else 'traceability'
    end as source_system,
    used_at,
    match_score,
    was_applied as is_applied,
    outcome,
    success as is_success,
    actual_duration_ms
from {{ source("traceability", "pattern_usage_log") }}
