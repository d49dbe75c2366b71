-- One row per window_days, tenant, dimension and value: its cost in the newest days and in as many before.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["cost_movers_key"], "unique": true}],
) }}

with cost_daily as not materialized (
    select * from {{ ref("cost_daily") }}
),

agents as (
    select distinct
        agent_key,
        agent_name
    from {{ ref("int_runs__costed_daily") }}
),

as_of as (
    select max(usage_date) as as_of_date
    from cost_daily
),

-- Added up by whatever is compared before it is looked at from each side.
recent as (
    select
        cost_daily.usage_date,
        cost_daily.tenant_key,
        cost_daily.source_system,
        cost_daily.workflow,
        cost_daily.agent_key,
        coalesce(cost_daily.model, cost_daily.model_recorded) as model,
        cost_daily.user_key,
        sum(cost_daily.cost_usd) as cost_usd,
        sum(cost_daily.calls_unpriced) as calls_unpriced
    from cost_daily
    where cost_daily.usage_date > (select as_of_date - 56 from as_of)
    group by
        cost_daily.usage_date,
        cost_daily.tenant_key,
        cost_daily.source_system,
        cost_daily.workflow,
        cost_daily.agent_key,
        coalesce(cost_daily.model, cost_daily.model_recorded),
        cost_daily.user_key
),

dimensioned as (
    select
        recent.usage_date,
        recent.tenant_key,
        sides.dimension,
        sides.source_system,
        sides.dimension_value,
        recent.cost_usd,
        recent.calls_unpriced
    from recent
    cross join lateral (
        values
        ('total', null, null),
        ('workflow', recent.source_system, recent.workflow),
        ('agent', recent.source_system, recent.agent_key),
        ('model', null, recent.model),
        ('user', null, recent.user_key)
    ) as sides (dimension, source_system, dimension_value)
),

compared as (
    select
        as_of.as_of_date,
        windows.window_days,
        dimensioned.tenant_key,
        dimensioned.dimension,
        dimensioned.source_system,
        dimensioned.dimension_value,
        trim_scale(
            coalesce(sum(cost_usd) filter (where as_of_date - usage_date < window_days), 0)
        ) as cost_usd,
        trim_scale(
            coalesce(sum(cost_usd) filter (where as_of_date - usage_date >= window_days), 0)
        ) as previous_cost_usd,
        sum(dimensioned.calls_unpriced)::bigint as calls_unpriced
    from dimensioned
    cross join as_of
    cross join (values (7), (28)) as windows (window_days)
    where dimensioned.usage_date > as_of.as_of_date - 2 * windows.window_days
    group by
        as_of.as_of_date,
        windows.window_days,
        dimensioned.tenant_key,
        dimensioned.dimension,
        dimensioned.source_system,
        dimensioned.dimension_value
),

changed as (
    select
        *,
        cost_usd - previous_cost_usd as change_usd,
        sum(cost_usd) over whole as total_cost_usd,
        sum(cost_usd - previous_cost_usd) over whole as total_change_usd
    from compared
    window whole as (partition by window_days, tenant_key, dimension)
)

select
    {{ surrogate_key([
        "changed.window_days",
        "changed.tenant_key",
        "changed.dimension",
        "changed.source_system",
        "changed.dimension_value",
    ]) }} as cost_movers_key,
    changed.as_of_date,
    changed.window_days,
    changed.tenant_key,
    changed.dimension,
    changed.source_system,
    changed.dimension_value,
    coalesce(agents.agent_name, changed.dimension_value) as label,
    changed.cost_usd,
    changed.previous_cost_usd,
    changed.calls_unpriced,
    {{ ratio("changed.cost_usd", "changed.total_cost_usd") }} as share,
    changed.change_usd,
    {{ ratio("changed.change_usd", "changed.previous_cost_usd") }} as growth,
    {{ ratio("changed.change_usd", "changed.total_change_usd") }} as contribution,
    rank() over (
        partition by changed.window_days, changed.tenant_key, changed.dimension
        order by abs(changed.change_usd) desc
    ) as mover_rank
from changed
left join agents on changed.dimension = 'agent' and changed.dimension_value = agents.agent_key
