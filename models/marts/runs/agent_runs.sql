-- One row per agent run, however many raw tables it went to.
with runs as (
    select * from {{ ref("int_runs__unioned") }}
),

calls as (
    select * from {{ ref("int_llm_calls__priced") }}
),

totals as (
    select * from {{ ref("int_runs__recorded_in_total") }}
),

tool_calls as (
    select * from {{ ref("int_tool_calls__unioned") }}
),

messages as (
    select * from {{ ref("int_messages__unioned") }}
),

models as (
    select * from {{ ref("int_models__matched") }}
),

pseudonym_salt as (
    select * from {{ source("ops", "pseudonym_salt") }}
),

calls_per_run as (
    select
        source_system,
        run_id,
        count(*) as llm_calls,
        sum(input_tokens) as input_tokens,
        sum(cached_input_tokens) as cached_input_tokens,
        sum(output_tokens) as output_tokens,
        sum(unsplit_tokens) as unsplit_tokens,
        sum(cost_usd) filter (where payer = 'agent') as agent_cost_usd,
        sum(cost_usd) filter (where payer = 'counterpart') as counterpart_cost_usd
    from calls
    group by source_system, run_id
),

totals_per_run as (
    select
        source_system,
        run_id,
        sum(input_tokens) as input_tokens,
        sum(cached_input_tokens) as cached_input_tokens,
        sum(output_tokens) as output_tokens,
        sum(unsplit_tokens) as unsplit_tokens,
        sum(reported_cost_usd) filter (where payer = 'agent') as agent_cost_usd,
        sum(reported_cost_usd) filter (where payer = 'counterpart') as counterpart_cost_usd
    from totals
    group by source_system, run_id
),

tool_calls_per_run as (
    select
        source_system,
        run_id,
        count(*) filter (where not is_call_missing) as tool_calls,
        count(*) filter (where is_error) as tool_errors
    from tool_calls
    group by source_system, run_id
),

messages_per_run as (
    select
        source_system,
        run_id,
        count(*) as messages
    from messages
    group by source_system, run_id
),

measured as (
    select
        runs.*,
        models.model,
        totals_per_run.run_id is not null as is_recorded_in_total,
        totals_per_run.run_id is null
        or messages_per_run.run_id is not null
        or tool_calls_per_run.run_id is not null as has_steps,
        calls_per_run.llm_calls,
        tool_calls_per_run.tool_calls,
        tool_calls_per_run.tool_errors,
        messages_per_run.messages,
        coalesce(calls_per_run.input_tokens, totals_per_run.input_tokens) as run_input_tokens,
        coalesce(calls_per_run.cached_input_tokens, totals_per_run.cached_input_tokens)
            as run_cached_input_tokens,
        coalesce(calls_per_run.output_tokens, totals_per_run.output_tokens) as run_output_tokens,
        coalesce(calls_per_run.unsplit_tokens, totals_per_run.unsplit_tokens) as run_unsplit_tokens,
        coalesce(calls_per_run.agent_cost_usd, totals_per_run.agent_cost_usd) as agent_cost_usd,
        coalesce(calls_per_run.counterpart_cost_usd, totals_per_run.counterpart_cost_usd)
            as counterpart_cost_usd,
        {{ pseudonym("runs.user_id") }} as user_key
    from runs
    cross join pseudonym_salt
    left join calls_per_run
        on runs.source_system = calls_per_run.source_system and runs.run_id = calls_per_run.run_id
    left join totals_per_run
        on runs.source_system = totals_per_run.source_system and runs.run_id = totals_per_run.run_id
    left join tool_calls_per_run
        on
            runs.source_system = tool_calls_per_run.source_system
            and runs.run_id = tool_calls_per_run.run_id
    left join messages_per_run
        on
            runs.source_system = messages_per_run.source_system
            and runs.run_id = messages_per_run.run_id
    left join models on runs.model_recorded = models.model_recorded
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
    task_id,
    trial,
    user_key,
    started_at,
    ended_at,
    duration_ms,
    status,
    is_success,
    reward,
    -- A source that recorded no calls but a total knows how much, not how often.
    case when not is_recorded_in_total then coalesce(llm_calls, 0) end as llm_calls,
    case when has_steps then coalesce(tool_calls, 0) end as tool_calls,
    case when has_steps then coalesce(tool_errors, 0) end as tool_errors,
    case when has_steps then coalesce(messages, 0) end as messages,
    run_input_tokens::bigint as input_tokens,
    run_cached_input_tokens::bigint as cached_input_tokens,
    run_output_tokens::bigint as output_tokens,
    run_unsplit_tokens::bigint as unsplit_tokens,
    agent_cost_usd,
    counterpart_cost_usd,
    agent_cost_recorded_usd,
    fees_usd,
    case
        when num_nonnulls(agent_cost_usd, counterpart_cost_usd, fees_usd) > 0
            then
                coalesce(agent_cost_usd, 0)
                + coalesce(counterpart_cost_usd, 0)
                + coalesce(fees_usd, 0)
    end as cost_usd,
    error_type
from measured
