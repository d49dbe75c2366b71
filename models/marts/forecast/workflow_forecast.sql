-- One row per workflow: what its runs cost, and what 30 days of them will, as first documented and corrected.
{{ config(
    materialized="incremental",
    key="workflow",
    indexes=[{"columns": ["workflow_forecast_key"], "unique": true}],
) }}

{{ dirtied_by([ref("agent_runs")], "select keys ->> 'workflow' from changes") }}
{{ dirtied_by([ref("int_runs__costed_daily")], "select null where false") }}

with runs as not materialized (
    select * from {{ ref("agent_runs") }}
),

workflows as (
    select
        workflow,
        max(run_date) as newest_date
    from {{ ref("int_runs__costed_daily") }}
    where workflow is not null and run_date is not null and {{ in_dirty("workflow") }}
    group by workflow
),

history as (
    select
        newest_runs.*,
        case when newest_runs.cost_usd > 0 then newest_runs.cost_usd end as paid_usd
    from workflows
    cross join lateral (
        select
            runs.workflow,
            runs.run_date,
            runs.is_success,
            runs.cost_usd
        from runs
        where runs.workflow = workflows.workflow and runs.run_date > workflows.newest_date - 90
        order by runs.started_at desc, runs.run_id desc, runs.source_system desc
        limit 1000
    ) as newest_runs
),

-- Nearest ranks; the median as the mean of the middle one from below and from above.
statistics as (
    select
        workflow,
        max(run_date) as as_of_date,
        min(run_date) as history_from,
        count(*) as runs,
        count(paid_usd) as sample_size,
        avg(paid_usd) as mean_usd,
        (
            percentile_disc(0.5) within group (order by paid_usd)
            + percentile_disc(0.5) within group (order by paid_usd desc)
        )
        / 2 as median_usd,
        min(paid_usd) as min_usd,
        max(paid_usd) as max_usd,
        case when count(paid_usd) > 0 then coalesce(stddev_samp(paid_usd), 0) end as std_usd,
        percentile_disc(0.25) within group (order by paid_usd) as rank_25_usd,
        percentile_disc(0.5) within group (order by paid_usd) as rank_50_usd,
        percentile_disc(0.75) within group (order by paid_usd) as rank_75_usd,
        avg(cost_usd) as cost_per_run_usd,
        sum(cost_usd) / nullif(count(*) filter (where is_success), 0) as cost_per_success_usd,
        coalesce(stddev_samp(cost_usd), 0) as run_std_usd,
        count(cost_usd) as runs_with_cost,
        count(*) * 30.0 / (max(run_date) - min(run_date) + 1) as expected_runs
    from history
    group by workflow
),

forecasts as (
    select
        *,
        cost_per_run_usd * expected_runs as total_usd,
        -- The chance of the runs to come, and that the mean is known from so many only.
        run_std_usd
        * sqrt(expected_runs + expected_runs * expected_runs / nullif(runs_with_cost, 0))
            as total_std_usd,
        std_usd / mean_usd as variation
    from statistics
)

select
    {{ surrogate_key(["workflow"]) }} as workflow_forecast_key,
    workflow,
    as_of_date,
    history_from,
    runs,
    sample_size,
    mean_usd,
    median_usd,
    min_usd,
    max_usd,
    std_usd,
    case
        when sample_size = 0 then 'none'
        when sample_size < 10 then 'low'
        when sample_size < 50 then 'medium'
        when variation > case when sample_size < 100 then 0.5 else 0.3 end then 'medium'
        else 'high'
    end as confidence,
    expected_runs,
    mean_usd * expected_runs as original_total_usd,
    mean_usd * expected_runs / 30 as original_daily_usd,
    case when sample_size < 4 then median_usd else rank_25_usd end * expected_runs
        as original_p25_usd,
    case when sample_size < 4 then median_usd else rank_50_usd end * expected_runs
        as original_p50_usd,
    case when sample_size < 4 then median_usd else rank_75_usd end * expected_runs
        as original_p75_usd,
    cost_per_run_usd,
    cost_per_success_usd,
    total_usd,
    greatest(total_usd - 1.281552 * total_std_usd, 0) as total_low_80_usd,
    total_usd + 1.281552 * total_std_usd as total_high_80_usd,
    greatest(total_usd - 1.959964 * total_std_usd, 0) as total_low_95_usd,
    total_usd + 1.959964 * total_std_usd as total_high_95_usd
from forecasts
