-- One row per usage_hour of the last 14 days, source_system, tenant, workflow, agent, model and payer.
{%- set window_days = 14 %}
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[
        {"columns": ["usage_date", "cost_hourly_key"], "unique": true},
        {"columns": ["usage_hour"]},
    ],
) }}

{{ dirtied_by([ref("agent_runs")], days_of_run_activity(ref("int_runs__daily_activity"))) }}
{{ dirtied_by([ref("cost_daily")], days_of_window(this, ref("cost_daily"), window_days)) }}

with window_start as (
    select max(usage_date) - {{ window_days - 1 }} as first_date
    from {{ ref("cost_daily") }}
),

attributed_costs as (
    select * from {{ ref("int_costs__attributed") }}
    where
        {{ in_dirty_days("usage_date") }}
        and usage_date >= (select first_date from window_start)
),

hourly as (
    select
        usage_date,
        usage_hour,
        source_system,
        tenant_key,
        workflow,
        agent_key,
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
        sum(calls_unpriced)::bigint as calls_unpriced
    from attributed_costs
    group by
        usage_date,
        usage_hour,
        source_system,
        tenant_key,
        workflow,
        agent_key,
        provider,
        model,
        model_recorded,
        payer
)

select
    {{ surrogate_key([
        "extract(epoch from usage_hour)",
        "source_system",
        "tenant_key",
        "workflow",
        "agent_key",
        "provider",
        "model",
        "model_recorded",
        "payer",
    ]) }} as cost_hourly_key,
    usage_date,
    usage_hour,
    source_system,
    tenant_key,
    workflow,
    agent_key,
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
    calls_unpriced
from hourly
