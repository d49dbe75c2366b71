-- One row per window_days, tenant, dimension and value: its cost in the newest days and in as many before.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["cost_movers_key"], "unique": true}],
) }}

with costs as (
    select * from {{ ref("cost_by_tenant_daily") }}
    where usage_date > (select max(usage_date) - 56 from {{ ref("cost_by_tenant_daily") }})
),

agents as (
    select distinct
        agent_key,
        agent_name
    from {{ ref("int_runs__costed_daily") }}
),

as_of as (
    select max(usage_date) as as_of_date
    from costs
),

compared as (
    select
        as_of.as_of_date,
        windows.window_days,
        costs.tenant_key,
        costs.scope_kind as dimension,
        costs.source_system,
        case when costs.scope_kind <> 'total' then costs.scope_key end as dimension_value,
        trim_scale(
            coalesce(sum(cost_usd) filter (where as_of_date - usage_date < window_days), 0)
        ) as cost_usd,
        trim_scale(
            coalesce(sum(cost_usd) filter (where as_of_date - usage_date >= window_days), 0)
        ) as previous_cost_usd,
        sum(costs.calls_unpriced)::bigint as calls_unpriced
    from costs
    cross join as_of
    cross join (values (7), (28)) as windows (window_days)
    where costs.usage_date > as_of.as_of_date - 2 * windows.window_days
    group by
        as_of.as_of_date,
        windows.window_days,
        costs.tenant_key,
        costs.scope_kind,
        costs.source_system,
        costs.scope_key
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
