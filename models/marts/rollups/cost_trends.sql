-- One row per week_start, source_system, tenant and workflow with runs.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["cost_trends_key"], "unique": true}, {"columns": ["week_start"]}],
) }}

with daily as (
    select * from {{ ref("int_runs__costed_daily") }}
),

weekly as (
    select
        date_trunc('week', run_date::timestamp)::date as week_start,
        source_system,
        tenant_key,
        workflow,
        sum(runs)::bigint as runs,
        sum(priced_runs)::bigint as priced_runs,
        sum(cost_usd) as cost_usd,
        {{ ratio("sum(cost_usd)", "sum(priced_runs)") }} as cost_per_run_usd
    from daily
    where run_date is not null
    group by week_start, source_system, tenant_key, workflow
),

compared as (
    select
        *,
        -- The calendar week before, not the one before that has runs.
        case
            when lag(week_start) over weeks = week_start - 7
                then lag(cost_per_run_usd) over weeks
        end as previous_cost_per_run_usd
    from weekly
    window weeks as (partition by source_system, tenant_key, workflow order by week_start)
)

select
    {{ surrogate_key([
        "week_start - date '2000-01-01'", "source_system", "tenant_key", "workflow"
    ]) }} as cost_trends_key,
    week_start,
    source_system,
    tenant_key,
    workflow,
    week_start + 6 <= max(week_start) over () as is_complete,
    runs,
    priced_runs,
    cost_usd,
    cost_per_run_usd,
    {{ ratio("(cost_per_run_usd - previous_cost_per_run_usd)", "previous_cost_per_run_usd") }} as growth,
    {{ cost_trend("cost_per_run_usd", "previous_cost_per_run_usd") }} as trend
from compared
