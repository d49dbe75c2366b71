-- One row per failure, of a run or of a step in it.
{{ config(
    materialized="incremental",
    period="occurred_date",
    indexes=[
        {"columns": ["error_key"], "unique": true},
        {"columns": ["occurred_date"]},
        {"columns": ["run_id", "source_system"]},
    ],
) }}

{{ dirtied_by([ref("agent_runs")], days_of_run_errors(this)) }}
{{ dirtied_by(["observability.traces"], days_counted(this, "occurred_date", "trace_id")) }}
{{ dirtied_by(["traceability.execution_traces"], days_of_steps()) }}
{{ dirtied_by(["traceability.agent_routing_decisions"], "select null::date where false") }}

with runs as not materialized (
    select * from {{ ref("agent_runs") }}
),

traces as (
    select * from {{ ref("stg_observability__traces") }}
),

spans as (
    select * from {{ ref("stg_observability__spans") }}
    where {{ in_dirty("started_at") }}
),

raaf_spans as (
    select * from {{ ref("stg_raaf__spans") }}
    where {{ in_dirty("started_at") }}
),

executions as (
    select * from {{ ref("int_executions__routed") }}
),

execution_traces as (
    select * from {{ ref("stg_traceability__execution_traces") }}
    where {{ in_dirty("started_at") }}
),

hook_executions as (
    select * from {{ ref("stg_traceability__hook_executions") }}
    where {{ in_dirty("started_at") }}
),

endpoint_calls as (
    select * from {{ ref("stg_traceability__endpoint_calls") }}
    where {{ in_dirty("started_at") }}
),

failed_steps as (
    select
        trace_id as error_id,
        trace_id,
        tenant_key,
        'execution' as step,
        error_type,
        started_at
    from execution_traces
    where status = 'failed' and parent_id is not null
    union all
    select
        hook_execution_id as error_id,
        trace_id,
        tenant_key,
        'hook' as step,
        error_type,
        started_at
    from hook_executions
    where status = 'failed'
    union all
    select
        endpoint_call_id as error_id,
        trace_id,
        tenant_key,
        'endpoint_call' as step,
        error_type,
        started_at
    from endpoint_calls
    where not is_success
),

all_errors as (
    select
        run_id as error_id,
        source_system,
        run_id,
        tenant_key,
        'run' as step,
        error_type,
        started_at as occurred_at
    from runs
    where status = 'failed' and {{ in_dirty_days("run_date") }}
    union all
    select
        spans.span_id::text as error_id,
        'observability' as source_system,
        traces.run_id,
        spans.tenant_key,
        spans.span_type as step,
        spans.error_type,
        spans.started_at as occurred_at
    from spans
    inner join traces on spans.trace_id = traces.trace_id
    where spans.status = 'failed'
    union all
    select
        span_id as error_id,
        'raaf' as source_system,
        trace_id as run_id,
        tenant_key,
        kind as step,
        error_type,
        started_at as occurred_at
    from raaf_spans
    where status = 'failed'
    union all
    select
        failed_steps.error_id::text as error_id,
        'traceability' as source_system,
        executions.run_id,
        failed_steps.tenant_key,
        failed_steps.step,
        failed_steps.error_type,
        failed_steps.started_at as occurred_at
    from failed_steps
    inner join executions on failed_steps.trace_id = executions.trace_id
    where executions.run_id is not null
)

select
    {{ surrogate_key(["all_errors.source_system", "all_errors.step", "all_errors.error_id"]) }}
        as error_key,
    all_errors.error_id,
    all_errors.source_system,
    all_errors.run_id,
    all_errors.step,
    coalesce(all_errors.error_type, 'unclassified') as error_type,
    all_errors.occurred_at,
    (all_errors.occurred_at at time zone 'UTC')::date as occurred_date,
    all_errors.tenant_key,
    run.agent_key,
    run.agent_name,
    run.is_success as is_run_success
from all_errors
-- One by one: failures are few among all runs, which the planner cannot know.
left join lateral (
    select
        runs.agent_key,
        runs.agent_name,
        runs.is_success
    from runs
    where runs.run_id = all_errors.run_id and runs.source_system = all_errors.source_system
    offset 0 -- noqa: ambiguous.order_by_limit
) as run on true
