-- One row per source_system, tenant and workflow that ran in the 90 days up to as_of_date.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["workflow_costs_key"], "unique": true}],
) }}

with daily as not materialized (
    select * from {{ ref("int_runs__costed_daily") }}
),

as_of as (
    select max(run_date) as as_of_date
    from daily
),

recent as (
    select
        daily.*,
        as_of.as_of_date,
        daily.run_date > as_of.as_of_date - 7 as is_last_week,
        daily.run_date > as_of.as_of_date - 14
        and daily.run_date <= as_of.as_of_date - 7 as is_week_before
    from as_of
    inner join daily on as_of.as_of_date - 90 < daily.run_date
),

summed as (
    select
        as_of_date,
        source_system,
        tenant_key,
        workflow,
        sum(runs)::bigint as runs,
        sum(failed_runs)::bigint as failed_runs,
        sum(priced_runs)::bigint as priced_runs,
        sum(cost_usd) as cost_usd,
        sum(squared_cost) as squared_cost,
        {{ ratio(
            "sum(cost_usd) filter (where is_last_week)", "sum(priced_runs) filter (where is_last_week)"
        ) }} as last_week_cost_per_run_usd,
        {{ ratio(
            "sum(cost_usd) filter (where is_week_before)", "sum(priced_runs) filter (where is_week_before)"
        ) }} as week_before_cost_per_run_usd
    from recent
    group by as_of_date, source_system, tenant_key, workflow
),

measured as (
    select
        *,
        {{ ratio("cost_usd", "priced_runs") }} as cost_per_run_usd,
        case
            when priced_runs = 1 then 0
            when priced_runs > 1
                then round(
                        sqrt(
                            greatest(squared_cost - cost_usd * cost_usd / priced_runs, 0) / (priced_runs - 1)
                        ),
                        12
                    )
        end as cost_deviation_usd
    from summed
),

varied as (
    select
        *,
        {{ ratio("cost_deviation_usd", "cost_per_run_usd") }} as cost_variation
    from measured
)

select
    {{ surrogate_key(["source_system", "tenant_key", "workflow"]) }} as workflow_costs_key,
    as_of_date,
    source_system,
    tenant_key,
    workflow,
    runs,
    failed_runs,
    priced_runs,
    cost_usd,
    cost_per_run_usd,
    cost_deviation_usd,
    cost_variation,
    case
        when priced_runs = 0 then 'none'
        when priced_runs < 10 then 'low'
        when priced_runs < 50 then 'medium'
        when priced_runs < 100 and cost_variation > 0.5 then 'medium'
        when priced_runs >= 100 and cost_variation > 0.3 then 'medium'
        else 'high'
    end as confidence,
    last_week_cost_per_run_usd,
    week_before_cost_per_run_usd,
    {{ cost_trend("last_week_cost_per_run_usd", "week_before_cost_per_run_usd") }} as trend
from varied
