-- One row per usage_month, source_system, tenant, workflow, domain, agent, user, model and payer.
{{ config(
    materialized="incremental",
    period="usage_month",
    indexes=[{"columns": ["cost_monthly_key"], "unique": true}, {"columns": ["usage_month"]}],
) }}

{{ dirtied_by([ref("cost_daily")], months_of_days()) }}

with cost_daily as not materialized (
    select * from {{ ref("cost_daily") }}
),

-- So that the days of a month are found by index: a condition on the month of a day would read all of them.
months as (
    select
        month_start::date as usage_month,
        (month_start + interval '1 month')::date as next_month
    from (
        select
            min(usage_date) as first_date,
            max(usage_date) as last_date
        from cost_daily
    ) as history
    cross join
        generate_series(date_trunc('month', first_date::timestamp), last_date, '1 month') as month_start
    where {{ in_dirty_days("month_start::date") }}
),

monthly as (
    select
        months.usage_month,
        cost_daily.source_system,
        cost_daily.tenant_key,
        cost_daily.workflow,
        cost_daily.domain,
        cost_daily.agent_key,
        cost_daily.user_key,
        cost_daily.provider,
        cost_daily.model,
        cost_daily.model_recorded,
        cost_daily.payer,
        sum(cost_daily.llm_calls)::bigint as llm_calls,
        sum(cost_daily.input_tokens)::bigint as input_tokens,
        sum(cost_daily.cached_input_tokens)::bigint as cached_input_tokens,
        sum(cost_daily.output_tokens)::bigint as output_tokens,
        sum(cost_daily.unsplit_tokens)::bigint as unsplit_tokens,
        sum(cost_daily.reported_cost_usd) as reported_cost_usd,
        sum(cost_daily.computed_cost_usd) as computed_cost_usd,
        sum(cost_daily.cost_usd) as cost_usd,
        sum(cost_daily.calls_reported)::bigint as calls_reported,
        sum(cost_daily.calls_computed)::bigint as calls_computed,
        sum(cost_daily.calls_unpriced)::bigint as calls_unpriced
    from months
    inner join cost_daily
        on months.usage_month <= cost_daily.usage_date and months.next_month > cost_daily.usage_date
    group by
        months.usage_month,
        cost_daily.source_system,
        cost_daily.tenant_key,
        cost_daily.workflow,
        cost_daily.domain,
        cost_daily.agent_key,
        cost_daily.user_key,
        cost_daily.provider,
        cost_daily.model,
        cost_daily.model_recorded,
        cost_daily.payer
)

select
    {{ surrogate_key([
        "usage_month - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "workflow",
        "domain",
        "agent_key",
        "user_key",
        "provider",
        "model",
        "model_recorded",
        "payer",
    ]) }} as cost_monthly_key,
    usage_month,
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
    llm_calls,
    input_tokens,
    cached_input_tokens,
    output_tokens,
    unsplit_tokens,
    reported_cost_usd,
    computed_cost_usd,
    cost_usd,
    calls_reported,
    calls_computed,
    calls_unpriced
from monthly
