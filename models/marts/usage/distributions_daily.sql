-- One row per usage_date, source_system, tenant, workflow, domain, agent, model, tool, payer and measure.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "distributions_daily_key"], "unique": true}],
) }}

{{ dirtied_by_calls(ref("int_runs__daily_activity")) }}
{{ dirtied_by([ref("agent_runs")], days_of_run_activity(ref("int_runs__daily_activity"))) }}

with active_runs as (
    select * from {{ ref("int_runs__active_daily") }}
    where {{ in_dirty_days("activity_date") }}
),

runs as (
    select * from {{ ref("agent_runs") }}
    where {{ in_dirty_days("run_date") }}
),

llm_calls as (
    select * from {{ ref("int_llm_calls__unioned") }}
    where {{ in_dirty("called_at") }}
),

tool_calls as (
    select * from {{ ref("int_tool_calls__unioned") }}
    where {{ in_dirty("called_at") }}
),

models as (
    select * from {{ ref("int_models__matched") }}
),

calls as (
    select
        source_system,
        run_id,
        called_at,
        model_recorded,
        null::text as tool_name,
        payer,
        'llm_call' as kind,
        duration_ms,
        case
            when num_nonnulls(input_tokens, output_tokens, unsplit_tokens) > 0
                then
                    coalesce(input_tokens, 0)
                    + coalesce(output_tokens, 0)
                    + coalesce(unsplit_tokens, 0)
        end as tokens
    from llm_calls
    union all
    select
        source_system,
        run_id,
        called_at,
        null as model_recorded,
        tool_name,
        payer,
        'tool_call' as kind,
        duration_ms,
        null as tokens
    from tool_calls
),

events as (
    select
        active_runs.activity_date as usage_date,
        active_runs.source_system,
        active_runs.tenant_key,
        active_runs.workflow,
        active_runs.domain,
        active_runs.agent_key,
        calls.model_recorded,
        calls.tool_name,
        calls.payer,
        calls.kind,
        calls.duration_ms,
        calls.tokens,
        null::numeric as cost_usd
    from calls
    inner join active_runs
        on
            calls.run_id = active_runs.run_id
            and calls.source_system = active_runs.source_system
            and coalesce((calls.called_at at time zone 'UTC')::date, '-infinity')
            = coalesce(active_runs.activity_date, '-infinity')
    union all
    select
        run_date as usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        model_recorded,
        null as tool_name,
        null as payer,
        'run' as kind,
        duration_ms,
        null as tokens,
        cost_usd
    from runs
),

measurements as (
    select
        events.usage_date,
        events.source_system,
        events.tenant_key,
        events.workflow,
        events.domain,
        events.agent_key,
        events.model_recorded,
        events.tool_name,
        events.payer,
        events.kind || '_' || units.unit as measure,
        case units.unit
            when 'ms' then events.duration_ms
            when 'tokens' then events.tokens
            else events.cost_usd
        end as value
    from events
    cross join (values ('ms'), ('tokens'), ('cost_usd')) as units (unit)
),

-- Counted by bucket first, so that no distribution is ever held value by value.
buckets as (
    select
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        model_recorded,
        tool_name,
        payer,
        measure,
        sketches.bucket(value) as bucket,
        count(*) as observations,
        sum(value) as total
    from measurements
    where value is not null
    group by
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        model_recorded,
        tool_name,
        payer,
        measure,
        sketches.bucket(value)
),

daily as (
    select
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        model_recorded,
        tool_name,
        payer,
        measure,
        sum(observations)::bigint as observations,
        sum(total) as total,
        jsonb_object_agg(bucket, observations) as sketch
    from buckets
    group by
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        model_recorded,
        tool_name,
        payer,
        measure
)

select
    {{ surrogate_key([
        "daily.usage_date - date '2000-01-01'",
        "daily.source_system",
        "daily.tenant_key",
        "daily.workflow",
        "daily.domain",
        "daily.agent_key",
        "daily.model_recorded",
        "daily.tool_name",
        "daily.payer",
        "daily.measure",
    ]) }} as distributions_daily_key,
    daily.usage_date,
    daily.source_system,
    daily.tenant_key,
    daily.workflow,
    daily.domain,
    daily.agent_key,
    models.provider,
    models.model,
    daily.model_recorded,
    daily.tool_name,
    daily.payer,
    daily.measure,
    daily.observations,
    daily.total,
    daily.sketch
from daily
left join models
    on
        daily.model_recorded = models.model_recorded
        and coalesce(daily.usage_date, '-infinity') = coalesce(models.usage_date, '-infinity')
