-- One row per hook that ran around a prompt or a tool.
with hook_executions as (
    select * from {{ source("traceability", "hook_executions") }}
),

renamed as (
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
        error_type
    from hook_executions
)

select * from renamed
