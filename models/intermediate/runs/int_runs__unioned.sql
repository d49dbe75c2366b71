-- One row per agent run, whichever raw tables it went to.
with traces as (
    select * from {{ ref("stg_observability__traces") }}
),

execution_traces as (
    select * from {{ ref("stg_traceability__execution_traces") }}
),

routed_executions as (
    select * from {{ ref("int_executions__routed") }}
),

sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
),

agents as (
    select * from {{ ref("stg_agentic__agents") }}
),

raaf_traces as (
    select * from {{ ref("stg_raaf__traces") }}
),

raaf_spans as not materialized (
    select * from {{ ref("stg_raaf__spans") }}
),

chat_sessions as (
    select * from {{ ref("stg_chat__conversation_sessions") }}
),

chat_agents as (
    select * from {{ ref("stg_chat__agents") }}
),

agent_mapping as (
    select * from {{ ref("agent_mapping") }}
),

observed_runs as (
    select
        traces.run_id,
        'observability' as source_system,
        traces.tenant_key,
        traces.agent_name,
        traces.agent_version,
        traces.model_recorded,
        traces.workflow,
        traces.domain,
        traces.task_id,
        traces.trial,
        traces.user_id,
        traces.started_at,
        traces.ended_at,
        traces.duration_recorded_ms,
        traces.status,
        null::boolean as is_success,
        traces.reward,
        traces.input_tokens,
        traces.cached_input_tokens,
        traces.output_tokens,
        {{ unsplit_tokens("traces") }} as unsplit_tokens,
        traces.agent_cost_recorded_usd,
        traces.counterpart_cost_recorded_usd,
        traces.fees_usd,
        traces.error_type
    from traces
),

traced_runs as (
    select
        execution_traces.trace_id::text as run_id,
        'traceability' as source_system,
        execution_traces.tenant_key,
        routed_executions.agent_name,
        null::text as agent_version,
        null::text as model_recorded,
        execution_traces.trigger_source as workflow,
        null::text as domain,
        null::text as task_id,
        null::int as trial,
        execution_traces.user_id,
        execution_traces.started_at,
        execution_traces.ended_at,
        execution_traces.duration_recorded_ms,
        execution_traces.status,
        execution_traces.is_success,
        null::numeric as reward,
        null::numeric as input_tokens,
        null::numeric as cached_input_tokens,
        null::numeric as output_tokens,
        null::numeric as unsplit_tokens,
        null::numeric as agent_cost_recorded_usd,
        null::numeric as counterpart_cost_recorded_usd,
        null::numeric as fees_usd,
        execution_traces.error_type
    from execution_traces
    inner join routed_executions on execution_traces.trace_id = routed_executions.trace_id
    where execution_traces.parent_id is null
),

session_runs as (
    select
        sessions.run_id,
        'agentic' as source_system,
        sessions.tenant_key,
        agents.agent_name,
        agents.agent_version,
        agents.model_recorded,
        agents.persona_type as workflow,
        sessions.domain,
        sessions.task_id,
        null::int as trial,
        sessions.user_id,
        sessions.started_at,
        sessions.ended_at,
        null::numeric as duration_recorded_ms,
        sessions.status,
        null::boolean as is_success,
        null::numeric as reward,
        null::numeric as input_tokens,
        null::numeric as cached_input_tokens,
        null::numeric as output_tokens,
        null::numeric as unsplit_tokens,
        null::numeric as agent_cost_recorded_usd,
        null::numeric as counterpart_cost_recorded_usd,
        null::numeric as fees_usd,
        null::text as error_type
    from sessions
    inner join agents on sessions.agent_id = agents.agent_id
    where sessions.loaded_run_id is null
),

raaf_runs as (
    select
        raaf_traces.trace_id as run_id,
        'raaf' as source_system,
        raaf_traces.tenant_key,
        lower(outer_raaf_agents.agent_name) as agent_name,
        outer_raaf_agents.agent_version,
        outer_raaf_agents.model_recorded,
        raaf_traces.workflow,
        null::text as domain,
        null::text as task_id,
        null::int as trial,
        null::text as user_id,
        raaf_traces.started_at,
        coalesce(
            raaf_traces.ended_at,
            case when raaf_traces.status <> 'running' then raaf_fees.ended_at end
        ) as ended_at,
        null::numeric as duration_recorded_ms,
        raaf_traces.status,
        null::boolean as is_success,
        null::numeric as reward,
        null::numeric as input_tokens,
        null::numeric as cached_input_tokens,
        null::numeric as output_tokens,
        null::numeric as unsplit_tokens,
        null::numeric as agent_cost_recorded_usd,
        null::numeric as counterpart_cost_recorded_usd,
        raaf_fees.fees_usd,
        case when raaf_traces.status = 'failed' then 'unclassified' end as error_type
    from raaf_traces
    -- The outermost agent speaks for the run.
    left join lateral (
        select
            raaf_spans.agent_name,
            raaf_spans.agent_version,
            raaf_spans.model_recorded
        from raaf_spans
        where raaf_spans.trace_id = raaf_traces.trace_id and raaf_spans.kind = 'agent'
        order by
            raaf_spans.parent_id is not null asc, raaf_spans.started_at asc, raaf_spans.span_id asc
        limit 1
    ) as outer_raaf_agents on true
    left join lateral (
        select
            sum(raaf_spans.fee_usd) as fees_usd,
            max(raaf_spans.ended_at) as ended_at
        from raaf_spans
        where raaf_spans.trace_id = raaf_traces.trace_id
    ) as raaf_fees on true
),

chat_runs as (
    select
        chat_sessions.session_id::text as run_id,
        'chat' as source_system,
        chat_sessions.tenant_key,
        chat_agents.agent_name,
        null::text as agent_version,
        null::text as model_recorded,
        'conversation' as workflow,
        null::text as domain,
        null::text as task_id,
        null::int as trial,
        chat_sessions.user_id,
        chat_sessions.started_at,
        chat_sessions.ended_at,
        null::numeric as duration_recorded_ms,
        chat_sessions.status,
        null::boolean as is_success,
        null::numeric as reward,
        null::numeric as input_tokens,
        null::numeric as cached_input_tokens,
        null::numeric as output_tokens,
        null::numeric as unsplit_tokens,
        null::numeric as agent_cost_recorded_usd,
        null::numeric as counterpart_cost_recorded_usd,
        null::numeric as fees_usd,
        null::text as error_type
    from chat_sessions
    left join chat_agents on chat_sessions.agent_id = chat_agents.agent_id
),

all_runs as (
    select * from observed_runs
    union all
    select * from traced_runs
    union all
    select * from session_runs
    union all
    select * from raaf_runs
    union all
    select * from chat_runs
),

identified as (
    select
        all_runs.run_id,
        all_runs.source_system,
        all_runs.tenant_key,
        {{ surrogate_key([
            "coalesce(agent_mapping.canonical_source_system, all_runs.source_system)",
            "coalesce(agent_mapping.canonical_agent_name, all_runs.agent_name)",
            "all_runs.agent_version",
            "all_runs.model_recorded",
        ]) }} as agent_key,
        coalesce(agent_mapping.canonical_agent_name, all_runs.agent_name) as agent_name,
        all_runs.agent_version,
        all_runs.model_recorded,
        all_runs.workflow,
        all_runs.domain,
        all_runs.task_id,
        all_runs.trial,
        all_runs.user_id,
        all_runs.started_at,
        all_runs.ended_at,
        coalesce(
            all_runs.duration_recorded_ms,
            extract(epoch from all_runs.ended_at - all_runs.started_at) * 1000
        ) as duration_ms,
        all_runs.status,
        all_runs.is_success,
        all_runs.reward,
        all_runs.input_tokens,
        all_runs.cached_input_tokens,
        all_runs.output_tokens,
        all_runs.unsplit_tokens,
        all_runs.agent_cost_recorded_usd,
        all_runs.counterpart_cost_recorded_usd,
        all_runs.fees_usd,
        all_runs.error_type
    from all_runs
    left join agent_mapping
        on
            all_runs.source_system = agent_mapping.source_system
            and all_runs.agent_name = agent_mapping.agent_name
)

select * from identified
