-- A call, or a run recorded only in total, that cost_daily lost, doubled or filed under another day, model,
-- agent, user or workflow. What it is made of, less what it holds, is nothing at its whole grain, and so in
-- every sum over it.
with runs as (
    select * from {{ ref("agent_runs") }}
),

calls as (
    select * from {{ ref("int_llm_calls__priced") }}
),

cost_daily as (
    select * from {{ ref("cost_daily") }}
),

unsettled_days as (
    {{ unsettled_days() }}
),

entries as (
    select
        (calls.called_at at time zone 'UTC')::date as usage_date,
        calls.source_system,
        runs.tenant_key,
        runs.workflow,
        runs.domain,
        runs.agent_key,
        runs.user_key,
        calls.provider,
        calls.model,
        calls.model_recorded,
        calls.payer,
        1 as llm_calls,
        calls.input_tokens,
        calls.cached_input_tokens,
        calls.output_tokens,
        calls.unsplit_tokens,
        calls.reported_cost_usd,
        calls.computed_cost_usd,
        calls.cost_usd
    from calls
    inner join runs
        on calls.run_id = runs.run_id and calls.source_system = runs.source_system
    union all
    select
        runs.run_date as usage_date,
        runs.source_system,
        runs.tenant_key,
        runs.workflow,
        runs.domain,
        runs.agent_key,
        runs.user_key,
        models.provider,
        models.model,
        runs.model_recorded,
        'agent' as payer,
        0 as llm_calls,
        runs.input_tokens,
        runs.cached_input_tokens,
        runs.output_tokens,
        runs.unsplit_tokens,
        runs.agent_cost_usd as reported_cost_usd,
        null as computed_cost_usd,
        runs.agent_cost_usd as cost_usd
    from runs
    left join {{ ref("int_models__matched") }} as models
        on runs.model_recorded = models.model_recorded and runs.run_date = models.usage_date
    where runs.llm_calls is null
    union all
    select
        run_date as usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        null as provider,
        null as model,
        null as model_recorded,
        'counterpart' as payer,
        0 as llm_calls,
        null as input_tokens,
        null as cached_input_tokens,
        null as output_tokens,
        null as unsplit_tokens,
        counterpart_cost_usd as reported_cost_usd,
        null as computed_cost_usd,
        counterpart_cost_usd as cost_usd
    from runs
    where llm_calls is null
    union all
    select
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        provider,
        model,
        model_recorded,
        payer,
        -llm_calls as llm_calls,
        -input_tokens as input_tokens,
        -cached_input_tokens as cached_input_tokens,
        -output_tokens as output_tokens,
        -unsplit_tokens as unsplit_tokens,
        -reported_cost_usd as reported_cost_usd,
        -computed_cost_usd as computed_cost_usd,
        -cost_usd as cost_usd
    from cost_daily
),

balances as (
    select
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        provider,
        model,
        model_recorded,
        payer,
        sum(llm_calls) as llm_calls,
        coalesce(sum(input_tokens), 0) as input_tokens,
        coalesce(sum(cached_input_tokens), 0) as cached_input_tokens,
        coalesce(sum(output_tokens), 0) as output_tokens,
        coalesce(sum(unsplit_tokens), 0) as unsplit_tokens,
        coalesce(sum(reported_cost_usd), 0) as reported_cost_usd,
        coalesce(sum(computed_cost_usd), 0) as computed_cost_usd,
        coalesce(sum(cost_usd), 0) as cost_usd
    from entries
    group by
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        provider,
        model,
        model_recorded,
        payer
)

select *
from balances
where
    usage_date not in (select * from unsettled_days)
    and (
        llm_calls <> 0
        or input_tokens <> 0
        or cached_input_tokens <> 0
        or output_tokens <> 0
        or unsplit_tokens <> 0
        or reported_cost_usd <> 0
        or computed_cost_usd <> 0
        or cost_usd <> 0
    )
