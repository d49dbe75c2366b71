-- One row per failure, of a run or of a step in it.
with runs as (
    select * from {{ ref("int_runs__unioned") }}
),

traces as (
    select * from {{ ref("stg_observability__traces") }}
),

spans as (
    select * from {{ ref("stg_observability__spans") }}
),

raaf_spans as (
    select * from {{ ref("stg_raaf__spans") }}
),

executions as (
    select * from {{ ref("int_executions__routed") }}
),

execution_traces as (
    select * from {{ ref("stg_traceability__execution_traces") }}
),

hook_executions as (
    select * from {{ ref("stg_traceability__hook_executions") }}
),

endpoint_calls as (
    select * from {{ ref("stg_traceability__endpoint_calls") }}
),

run_errors as (
    select
        run_id as error_id,
        source_system,
        run_id,
        'run' as step,
        error_type,
        coalesce(ended_at, started_at) as occurred_at
    from runs
    where status = 'failed'
),

observability_errors as (
    select
        spans.span_id::text as error_id,
        'observability' as source_system,
        traces.run_id,
        spans.span_type as step,
        spans.error_type,
        spans.started_at as occurred_at
    from spans
    inner join traces on spans.trace_id = traces.trace_id
    where spans.status = 'failed'
),

raaf_errors as (
    select
        span_id as error_id,
        'raaf' as source_system,
        trace_id as run_id,
        kind as step,
        error_type,
        started_at as occurred_at
    from raaf_spans
    where status = 'failed'
),

failed_steps as (
    select
        trace_id as error_id,
        trace_id,
        'execution' as step,
        error_type,
        started_at
    from execution_traces
    where status = 'failed' and parent_id is not null
    union all
    select
        hook_execution_id as error_id,
        trace_id,
        'hook' as step,
        error_type,
        started_at
    from hook_executions
    where status = 'failed'
    union all
    select
        endpoint_call_id as error_id,
        trace_id,
        'endpoint_call' as step,
        error_type,
        started_at
    from endpoint_calls
    where not is_success
),

traceability_errors as (
    select
        failed_steps.error_id::text as error_id,
        'traceability' as source_system,
        executions.run_id,
        failed_steps.step,
        failed_steps.error_type,
        failed_steps.started_at as occurred_at
    from failed_steps
    inner join executions on failed_steps.trace_id = executions.trace_id
    where executions.run_id is not null
),

all_errors as (
    select * from run_errors
    union all
    select * from observability_errors
    union all
    select * from raaf_errors
    union all
    select * from traceability_errors
)

select
    error_id,
    source_system,
    run_id,
    step,
    coalesce(error_type, 'unclassified') as error_type,
    occurred_at
from all_errors
