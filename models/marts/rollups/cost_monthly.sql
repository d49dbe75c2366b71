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

-- So that the days of a month are found by index: by the month of each day all would be read.
days as (
    select
        *,
        date_trunc('month', usage_date::timestamp)::date as usage_month
    from cost_daily
    where
        usage_date >= (select min(usage_month) from months)
        and usage_date < (select max(next_month) from months)
),

monthly as (
    select
        days.usage_month,
        days.source_system,
        days.tenant_key,
        days.workflow,
        days.domain,
        days.agent_key,
        days.user_key,
        days.provider,
        days.model,
        days.model_recorded,
        days.payer,
        sum(days.llm_calls)::bigint as llm_calls,
        sum(days.input_tokens)::bigint as input_tokens,
        sum(days.cached_input_tokens)::bigint as cached_input_tokens,
        sum(days.output_tokens)::bigint as output_tokens,
        sum(days.unsplit_tokens)::bigint as unsplit_tokens,
        sum(days.reported_cost_usd) as reported_cost_usd,
        sum(days.computed_cost_usd) as computed_cost_usd,
        sum(days.cost_usd) as cost_usd,
        sum(days.calls_reported)::bigint as calls_reported,
        sum(days.calls_computed)::bigint as calls_computed,
        sum(days.calls_unpriced)::bigint as calls_unpriced
    from days
    inner join months on days.usage_month = months.usage_month
    group by
        days.usage_month,
        days.source_system,
        days.tenant_key,
        days.workflow,
        days.domain,
        days.agent_key,
        days.user_key,
        days.provider,
        days.model,
        days.model_recorded,
        days.payer
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
