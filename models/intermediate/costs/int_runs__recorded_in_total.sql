-- One row per run and payer of a run without LLM calls that its source recorded only in total.
with runs as (
    select * from {{ ref("int_runs__unioned") }}
),

calls as (
    select * from {{ ref("int_llm_calls__unioned") }}
),

runs_with_calls as (
    select distinct
        source_system,
        run_id
    from calls
),

runs_without_calls as (
    select runs.*
    from runs
    left join runs_with_calls
        on runs.source_system = runs_with_calls.source_system and runs.run_id = runs_with_calls.run_id
    where runs_with_calls.run_id is null
),

agent_totals as (
    select
        source_system,
        run_id,
        'agent' as payer,
        model_recorded,
        input_tokens,
        cached_input_tokens,
        output_tokens,
        unsplit_tokens,
        -- Fees are part of the recorded total and stand in a column of their own.
        agent_cost_recorded_usd - coalesce(fees_usd, 0) as reported_cost_usd
    from runs_without_calls
    where
        agent_cost_recorded_usd is not null
        or input_tokens is not null
        or output_tokens is not null
        or unsplit_tokens is not null
),

counterpart_totals as (
    select
        source_system,
        run_id,
        'counterpart' as payer,
        null::text as model_recorded,
        null::numeric as input_tokens,
        null::numeric as cached_input_tokens,
        null::numeric as output_tokens,
        null::numeric as unsplit_tokens,
        counterpart_cost_recorded_usd as reported_cost_usd
    from runs_without_calls
    where counterpart_cost_recorded_usd is not null
)

select * from agent_totals
union all
select * from counterpart_totals
