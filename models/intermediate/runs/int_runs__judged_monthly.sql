-- One row per month, agent_key, domain and task_id: the runs that were judged.
{{ config(
    materialized="incremental",
    period="run_month",
    indexes=[
        {"columns": ["judged_monthly_key"], "unique": true},
        {"columns": ["run_month", "agent_domain_key", "task_id"]},
    ],
) }}

{{ dirtied_by([ref("int_runs__judged_daily")], months_of_days()) }}

with judged_daily as not materialized (
    select * from {{ ref("int_runs__judged_daily") }}
),

months as (
    select
        month_start::date as run_month,
        (month_start + interval '1 month')::date as next_month
    from (
        select
            min(run_date) as first_date,
            max(run_date) as last_date
        from judged_daily
    ) as history
    cross join
        generate_series(date_trunc('month', first_date::timestamp), last_date, '1 month') as month_start
    where {{ in_dirty_days("month_start::date") }}
),

days as (
    select
        *,
        date_trunc('month', run_date::timestamp)::date as run_month
    from judged_daily
    where
        run_date >= (select min(run_month) from months)
        and run_date < (select max(next_month) from months)
),

monthly as (
    select
        days.run_month,
        days.agent_domain_key,
        days.domain,
        coalesce(days.task_id, '') as task_id,
        sum(days.runs)::bigint as runs,
        sum(days.successes)::bigint as successes,
        sum(days.priced_runs)::bigint as priced_runs,
        sum(days.cost_usd) as cost_usd,
        sum(days.timed_runs)::bigint as timed_runs,
        sum(days.duration_ms) as duration_ms
    from days
    inner join months on days.run_month = months.run_month
    group by days.run_month, days.agent_domain_key, days.domain, coalesce(days.task_id, '')
)

select
    {{ surrogate_key(["run_month - date '2000-01-01'", "agent_domain_key", "task_id"]) }}
        as judged_monthly_key,
    *
from monthly
