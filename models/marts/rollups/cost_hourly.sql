-- One row per usage_hour of the last 14 days, source_system, tenant, workflow, agent, model and payer.
{%- set window_days = 14 %}
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[
        {"columns": ["cost_hourly_key"], "unique": true},
        {"columns": ["usage_date"]},
        {"columns": ["usage_hour"]},
    ],
) }}

{{ dirtied_by_calls(ref("int_runs__daily_activity")) }}
{{ dirtied_by([ref("agent_runs")], days_of_run_activity(ref("int_runs__daily_activity"))) }}
{{ dirtied_by([ref("cost_daily")], days_of_window(this, ref("cost_daily"), window_days)) }}
{{ dirtied_by([ref("int_prices__combined")], days_of_prices(ref("int_models__matched"))) }}
{{ dirtied_by([ref("int_prices__editions")], "select null::date where false") }}

with runs as not materialized (
    select * from {{ ref("agent_runs") }}
),

models as (
    select * from {{ ref("int_models__matched") }}
),

window_start as (
    select max(usage_date) - {{ window_days - 1 }} as first_date
    from {{ ref("cost_daily") }}
),

calls as (
    select * from {{ ref("int_llm_calls__priced") }}
    where
        {{ in_dirty("called_at") }}
        and called_at >= (select first_date::timestamp at time zone 'UTC' from window_start)
),

-- Runs that their source recorded only in total count in the hour they started.
totals as (
    select
        runs.*,
        models.provider
    from runs
    left join models
        on
            runs.model_recorded = models.model_recorded
            and coalesce(runs.run_date, '-infinity') = coalesce(models.usage_date, '-infinity')
    where
        runs.llm_calls is null
        and {{ in_dirty_days("runs.run_date") }}
        and runs.run_date >= (select first_date from window_start)
),

usages as (
    select
        calls.called_at as used_at,
        runs.source_system,
        runs.tenant_key,
        runs.workflow,
        runs.agent_key,
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
        started_at as used_at,
        source_system,
        tenant_key,
        workflow,
        agent_key,
        provider,
        model,
        model_recorded,
        'agent' as payer,
        0 as llm_calls,
        input_tokens,
        cached_input_tokens,
        output_tokens,
        unsplit_tokens,
        agent_cost_usd as reported_cost_usd,
        null as computed_cost_usd,
        agent_cost_usd as cost_usd
    from totals
    where num_nonnulls(agent_cost_usd, input_tokens, output_tokens, unsplit_tokens) > 0
    union all
    select
        started_at as used_at,
        source_system,
        tenant_key,
        workflow,
        agent_key,
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
    from totals
    where counterpart_cost_usd is not null
),

hourly as (
    select
        date_trunc('hour', used_at, 'UTC') as usage_hour,
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
        count(*) filter (where llm_calls > 0 and cost_usd is null) as calls_unpriced
    from usages
    group by
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
    (usage_hour at time zone 'UTC')::date as usage_date,
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
