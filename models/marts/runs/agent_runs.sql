-- One row per agent run, however many raw tables it went to.
{{ config(
    materialized="incremental",
    period="run_date",
    publishes="source_system, run_id, agent_domain_key, workflow, run_date as day",
    indexes=[
        {"columns": ["agent_runs_key"], "unique": true},
        {"columns": ["run_date"]},
        {"columns": ["run_id", "source_system"], "unique": true},
        {"columns": ["agent_domain_key"]},
        {"columns": ["workflow", "started_at"]},
    ],
) }}

{{ dirtied_by([ref("int_runs__daily_activity"), ref("int_decisions__recorded")], days_of_runs(this)) }}
{{ dirtied_by(["agentic.agents"], days_of_agentic_sessions()) }}
{{ dirtied_by(["chat.agents"], days_of_chat_sessions()) }}
{{ dirtied_by(["raaf.raaf_tracing_spans"], days_of_raaf_traces()) }}
{{ dirtied_by(["traceability.agent_routing_decisions"], days_of_executions()) }}

with runs as (
    select * from {{ ref("int_runs__unioned") }}
    where {{ in_dirty("started_at") }}
),

activities as (
    select * from {{ ref("int_runs__daily_activity") }}
),

decisions as (
    select * from {{ ref("int_decisions__recorded") }}
),

models as (
    select * from {{ ref("int_models__matched") }}
),

pseudonym_salt as (
    select * from {{ source("ops", "pseudonym_salt") }}
),

activity_per_run as (
    select
        runs.source_system,
        runs.run_id,
        sum(activities.llm_calls) as llm_calls,
        sum(activities.input_tokens) as input_tokens,
        sum(activities.cached_input_tokens) as cached_input_tokens,
        sum(activities.output_tokens) as output_tokens,
        sum(activities.unsplit_tokens) as unsplit_tokens,
        sum(activities.cost_usd) filter (where activities.payer = 'agent') as agent_cost_usd,
        sum(activities.cost_usd) filter (where activities.payer = 'counterpart')
            as counterpart_cost_usd,
        sum(activities.tool_calls) as tool_calls,
        sum(activities.tool_errors) as tool_errors,
        sum(activities.messages) as messages
    from runs
    inner join activities
        on runs.run_id = activities.run_id and runs.source_system = activities.source_system
    group by runs.source_system, runs.run_id
),

verdicts as (
    select
        runs.source_system,
        runs.run_id,
        bool_and(decisions.outcome = 1) as is_success
    from runs
    inner join decisions
        on runs.run_id = decisions.run_id and runs.source_system = decisions.source_system
    where decisions.is_evaluation
    group by runs.source_system, runs.run_id
),

measured as (
    select
        runs.run_id,
        runs.source_system,
        runs.tenant_key,
        runs.agent_key,
        runs.agent_name,
        runs.agent_version,
        models.model,
        runs.model_recorded,
        runs.workflow,
        runs.domain,
        {{ surrogate_key(["runs.agent_key", "runs.domain"]) }} as agent_domain_key,
        runs.task_id,
        runs.trial,
        {{ pseudonym("runs.user_id") }} as user_key,
        (runs.started_at at time zone 'UTC')::date as run_date,
        runs.started_at,
        runs.ended_at,
        runs.duration_ms,
        runs.status,
        coalesce(runs.is_success, verdicts.is_success) as is_success,
        runs.reward,
        runs.agent_cost_recorded_usd,
        runs.counterpart_cost_recorded_usd,
        runs.fees_usd,
        runs.error_type,
        runs.input_tokens as total_input_tokens,
        runs.cached_input_tokens as total_cached_input_tokens,
        runs.output_tokens as total_output_tokens,
        runs.unsplit_tokens as total_unsplit_tokens,
        activity_per_run.llm_calls,
        activity_per_run.input_tokens,
        activity_per_run.cached_input_tokens,
        activity_per_run.output_tokens,
        activity_per_run.unsplit_tokens,
        activity_per_run.agent_cost_usd,
        activity_per_run.counterpart_cost_usd,
        activity_per_run.tool_calls,
        activity_per_run.tool_errors,
        activity_per_run.messages,
        activity_per_run.llm_calls is null
        and num_nonnulls(
            runs.agent_cost_recorded_usd,
            runs.input_tokens,
            runs.output_tokens,
            runs.unsplit_tokens
        ) > 0 as is_agent_in_total,
        activity_per_run.llm_calls is null and runs.counterpart_cost_recorded_usd is not null
            as is_counterpart_in_total
    from runs
    cross join pseudonym_salt
    left join activity_per_run
        on
            runs.source_system = activity_per_run.source_system
            and runs.run_id = activity_per_run.run_id
    left join verdicts
        on runs.source_system = verdicts.source_system and runs.run_id = verdicts.run_id
    left join models
        on
            runs.model_recorded = models.model_recorded
            and coalesce((runs.started_at at time zone 'UTC')::date, '-infinity')
            = coalesce(models.usage_date, '-infinity')
),

totalled as (
    select
        *,
        is_agent_in_total or is_counterpart_in_total as is_recorded_in_total,
        not (is_agent_in_total or is_counterpart_in_total)
        or num_nonnulls(messages, tool_calls) > 0 as has_steps,
        case when is_agent_in_total then total_input_tokens else input_tokens end
            as run_input_tokens,
        case when is_agent_in_total then total_cached_input_tokens else cached_input_tokens end
            as run_cached_input_tokens,
        case when is_agent_in_total then total_output_tokens else output_tokens end
            as run_output_tokens,
        case when is_agent_in_total then total_unsplit_tokens else unsplit_tokens end
            as run_unsplit_tokens,
        -- Fees are part of the recorded total and stand in a column of their own.
        case
            when is_agent_in_total then agent_cost_recorded_usd - coalesce(fees_usd, 0)
            else agent_cost_usd
        end as run_agent_cost_usd,
        case when is_counterpart_in_total then counterpart_cost_recorded_usd else counterpart_cost_usd end
            as run_counterpart_cost_usd
    from measured
)

select
    {{ surrogate_key(["source_system", "run_id"]) }} as agent_runs_key,
    run_id,
    source_system,
    tenant_key,
    agent_key,
    agent_name,
    agent_version,
    model,
    model_recorded,
    workflow,
    domain,
    agent_domain_key,
    task_id,
    trial,
    user_key,
    run_date,
    started_at,
    ended_at,
    duration_ms,
    status,
    is_success,
    reward,
    -- A source that recorded no calls but a total knows how much, not how often.
    case when not is_recorded_in_total then coalesce(llm_calls, 0)::bigint end as llm_calls,
    case when has_steps then coalesce(tool_calls, 0)::bigint end as tool_calls,
    case when has_steps then coalesce(tool_errors, 0)::bigint end as tool_errors,
    case when has_steps then coalesce(messages, 0)::bigint end as messages,
    run_input_tokens::bigint as input_tokens,
    run_cached_input_tokens::bigint as cached_input_tokens,
    run_output_tokens::bigint as output_tokens,
    run_unsplit_tokens::bigint as unsplit_tokens,
    run_agent_cost_usd as agent_cost_usd,
    run_counterpart_cost_usd as counterpart_cost_usd,
    agent_cost_recorded_usd,
    fees_usd,
    case
        when num_nonnulls(run_agent_cost_usd, run_counterpart_cost_usd, fees_usd) > 0
            then
                coalesce(run_agent_cost_usd, 0)
                + coalesce(run_counterpart_cost_usd, 0)
                + coalesce(fees_usd, 0)
    end as cost_usd,
    error_type
from totalled
