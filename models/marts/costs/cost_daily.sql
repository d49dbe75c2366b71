-- One row per usage_date, source_system, tenant, workflow, domain, agent, user, model and payer.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[
        {"columns": ["usage_date", "cost_daily_key"], "unique": true},
        {"columns": ["model", "usage_date"]},
    ],
) }}

{{ dirtied_by([ref("agent_runs")], days_of_run_activity(ref("int_runs__daily_activity"))) }}

with attributed_costs as (
    select * from {{ ref("int_costs__attributed") }}
    where {{ in_dirty_days("usage_date") }}
),

daily as (
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
        count(distinct run_id) as runs,
        sum(llm_calls)::bigint as llm_calls,
        sum(input_tokens)::bigint as input_tokens,
        sum(cached_input_tokens)::bigint as cached_input_tokens,
        sum(cache_write_tokens)::bigint as cache_write_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(reasoning_tokens)::bigint as reasoning_tokens,
        sum(unsplit_tokens)::bigint as unsplit_tokens,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(input_cost_usd) as input_cost_usd,
        sum(cached_input_cost_usd) as cached_input_cost_usd,
        sum(cache_write_cost_usd) as cache_write_cost_usd,
        sum(output_cost_usd) as output_cost_usd,
        sum(reasoning_cost_usd) as reasoning_cost_usd,
        sum(request_cost_usd) as request_cost_usd,
        sum(computed_cost_usd) as computed_cost_usd,
        sum(cost_usd) as cost_usd,
        sum(calls_reported)::bigint as calls_reported,
        sum(calls_computed)::bigint as calls_computed,
        sum(calls_unpriced)::bigint as calls_unpriced
    from attributed_costs
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

select
    {{ surrogate_key([
        "daily.usage_date - date '2000-01-01'",
        "daily.source_system",
        "daily.tenant_key",
        "daily.workflow",
        "daily.domain",
        "daily.agent_key",
        "daily.user_key",
        "daily.model_recorded",
        "daily.payer",
    ]) }} as cost_daily_key,
    daily.usage_date,
    daily.source_system,
    daily.tenant_key,
    daily.workflow,
    daily.domain,
    daily.agent_key,
    daily.user_key,
    daily.provider,
    daily.model,
    daily.model_recorded,
    daily.payer,
    daily.runs,
    daily.llm_calls,
    daily.input_tokens,
    daily.cached_input_tokens,
    daily.cache_write_tokens,
    daily.output_tokens,
    daily.reasoning_tokens,
    daily.unsplit_tokens,
    daily.reported_cost_usd,
    daily.input_cost_usd,
    daily.cached_input_cost_usd,
    daily.cache_write_cost_usd,
    daily.output_cost_usd,
    daily.reasoning_cost_usd,
    daily.request_cost_usd,
    daily.computed_cost_usd,
    daily.cost_usd,
    daily.calls_reported,
    daily.calls_computed,
    daily.calls_unpriced
from daily
