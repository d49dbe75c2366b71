-- One row per tool call, or per tool result whose call was not recorded.
with spans as (
    select * from {{ ref("stg_observability__spans") }}
),

traces as (
    select * from {{ ref("stg_observability__traces") }}
),

hook_executions as (
    select * from {{ ref("stg_traceability__hook_executions") }}
),

executions as (
    select * from {{ ref("int_executions__routed") }}
),

raaf_spans as (
    select * from {{ ref("stg_raaf__spans") }}
),

span_calls as (
    select
        spans.span_id::text as tool_call_id,
        'observability' as source_system,
        traces.run_id,
        spans.span_name as tool_name,
        spans.payer,
        spans.started_at as called_at,
        spans.duration_ms,
        spans.status = 'failed' as is_error,
        spans.is_call_missing
    from spans
    inner join traces on spans.trace_id = traces.trace_id
    where spans.span_type = 'agent_tool_call'
),

hook_calls as (
    select
        hook_executions.hook_execution_id::text as tool_call_id,
        'traceability' as source_system,
        executions.run_id,
        hook_executions.tool_name,
        'agent' as payer,
        hook_executions.started_at as called_at,
        hook_executions.duration_ms::numeric as duration_ms,
        hook_executions.status = 'failed' as is_error,
        false as is_call_missing
    from hook_executions
    inner join executions on hook_executions.trace_id = executions.trace_id
    where
        executions.run_id is not null
        and hook_executions.hook_type = 'PostToolUse'
        and hook_executions.tool_name is not null
),

raaf_calls as (
    select
        span_id as tool_call_id,
        'raaf' as source_system,
        trace_id as run_id,
        tool_name,
        'agent' as payer,
        started_at as called_at,
        duration_ms,
        status = 'failed' as is_error,
        false as is_call_missing
    from raaf_spans
    where kind = 'tool'
),

all_calls as (
    select * from span_calls
    union all
    select * from hook_calls
    union all
    select * from raaf_calls
)

select
    tool_call_id,
    source_system,
    run_id,
    tool_name,
    payer,
    called_at,
    duration_ms,
    is_error,
    is_call_missing
from all_calls
