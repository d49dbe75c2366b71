-- One row per hook that ran around a prompt or a tool.
select
    id as hook_execution_id,
    trace_id,
    tenant_id as tenant_key,
    hook_type,
    hook_name,
    execution_order,
    nullif(tool_name, '') as tool_name,
    started_at,
    completed_at as ended_at,
    duration_ms,
    {{ conform_status("status") }} as status,
    status as status_recorded,
    error_type,
    rag_query_performed as has_rag_query,
    quality_check_performed as has_quality_check,
    {{ json_number("quality_results", "quality_score") }} as quality_score,
    {{ json_number("quality_results", "violations_found") }} as violations_found,
    {{ json_number("quality_results", "corrections_applied") }} as corrections_applied,
    -- The answers by which a hook of a coding agent stops what it ran before.
    coalesce(
        output_data ->> 'decision' in ('block', 'deny')
        or output_data #>> '{hookSpecificOutput,permissionDecision}' = 'deny'
        or output_data ->> 'continue' = 'false',
        false
    ) as is_block
from {{ source("traceability", "hook_executions") }}
