-- A cost that a rollup has lost, doubled or filed under another month, day, model, agent, user or workflow: a
-- question would have one answer by the month and another by the day. What cost_daily holds, less what
-- each rollup holds, is nothing.
with cost_daily as (
    select * from {{ ref("cost_daily") }}
),

cost_monthly as (
    select * from {{ ref("cost_monthly") }}
),

cost_hourly as (
    select * from {{ ref("cost_hourly") }}
),

dated as (
    select
        *,
        max(usage_date) over () as newest_date
    from cost_daily
),

last_days as (
    select *
    from dated
    where usage_date > newest_date - 14
),

unsettled_days as (
    {{ unsettled_days() }}
),

entries as (
    select
        'cost_monthly' as rollup,
        date_trunc('month', usage_date::timestamp)::date as period,
        row(
            source_system,
            tenant_key,
            workflow,
            agent_key,
            model_recorded,
            payer,
            domain,
            user_key,
            provider,
            model
        )::text as dimensions,
        llm_calls,
        input_tokens,
        output_tokens,
        unsplit_tokens,
        cost_usd,
        calls_unpriced
    from cost_daily
    union all
    select
        'cost_monthly' as rollup,
        usage_month as period,
        row(
            source_system,
            tenant_key,
            workflow,
            agent_key,
            model_recorded,
            payer,
            domain,
            user_key,
            provider,
            model
        )::text as dimensions,
        -llm_calls as llm_calls,
        -input_tokens as input_tokens,
        -output_tokens as output_tokens,
        -unsplit_tokens as unsplit_tokens,
        -cost_usd as cost_usd,
        -calls_unpriced as calls_unpriced
    from cost_monthly
    union all
    select
        'cost_hourly' as rollup,
        usage_date as period,
        row(
            source_system, tenant_key, workflow, agent_key, model_recorded, payer
        )::text as dimensions,
        llm_calls,
        input_tokens,
        output_tokens,
        unsplit_tokens,
        cost_usd,
        calls_unpriced
    from last_days
    union all
    select
        'cost_hourly' as rollup,
        usage_date as period,
        row(
            source_system, tenant_key, workflow, agent_key, model_recorded, payer
        )::text as dimensions,
        -llm_calls as llm_calls,
        -input_tokens as input_tokens,
        -output_tokens as output_tokens,
        -unsplit_tokens as unsplit_tokens,
        -cost_usd as cost_usd,
        -calls_unpriced as calls_unpriced
    from cost_hourly
),

balances as (
    select
        rollup,
        period,
        dimensions,
        coalesce(sum(llm_calls), 0) as llm_calls,
        coalesce(sum(input_tokens), 0) as input_tokens,
        coalesce(sum(output_tokens), 0) as output_tokens,
        coalesce(sum(unsplit_tokens), 0) as unsplit_tokens,
        coalesce(sum(cost_usd), 0) as cost_usd,
        coalesce(sum(calls_unpriced), 0) as calls_unpriced
    from entries
    group by rollup, period, dimensions
)

select *
from balances
where
    -- Hours are read from raw rows, of which somebody may have written more since the days were.
    (rollup <> 'cost_hourly' or period not in (select * from unsettled_days))
    and (
        llm_calls <> 0
        or input_tokens <> 0
        or output_tokens <> 0
        or unsplit_tokens <> 0
        or cost_usd <> 0
        or calls_unpriced <> 0
    )
