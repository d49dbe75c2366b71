-- One row per usage_month, source_system, tenant, workflow, domain, agent, user, model and payer.
{{ config(
    materialized="incremental",
    period="usage_month",
    indexes=[{"columns": ["usage_month", "cost_monthly_key"], "unique": true}],
) }}

{{ dirtied_by([ref("cost_daily")], months_of_days()) }}

with {{ days_of_dirty_months(ref("cost_daily"), "usage_date", "usage_month") }},

monthly as (
    select
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
        sum(llm_calls)::bigint as llm_calls,
        sum(input_tokens)::bigint as input_tokens,
        sum(cached_input_tokens)::bigint as cached_input_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(unsplit_tokens)::bigint as unsplit_tokens,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(computed_cost_usd) as computed_cost_usd,
        sum(cost_usd) as cost_usd,
        sum(calls_reported)::bigint as calls_reported,
        sum(calls_computed)::bigint as calls_computed,
        sum(calls_unpriced)::bigint as calls_unpriced
    from days
    group by
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
        payer
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
