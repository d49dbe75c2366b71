-- One row per scope_kind, scope_key and weekday: what SQL alone expects each such day to cost.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["cost_forecast_baseline_key"], "unique": true}],
) }}

with costs as (
    select * from {{ ref("cost_by_scope_daily") }}
),

-- The newest day may not be over.
clock as (
    select max(usage_date) - 1 as as_of_date
    from costs
),

scopes as (
    select
        costs.scope_kind,
        costs.scope_key,
        clock.as_of_date,
        min(costs.usage_date) as first_date
    from costs
    cross join clock
    where costs.usage_date <= clock.as_of_date
    group by costs.scope_kind, costs.scope_key, clock.as_of_date
),

-- Eight weeks, or since the first day; a day without calls cost nothing.
days as (
    select
        scopes.scope_kind,
        scopes.scope_key,
        scopes.as_of_date,
        scopes.as_of_date - scopes.first_date + 1 as history_days,
        numbers.days_ago,
        extract(isodow from scopes.as_of_date - numbers.days_ago)::int as weekday,
        coalesce(costs.cost_usd, 0) as cost_usd
    from scopes
    cross join generate_series(0, 55) as numbers (days_ago)
    left join costs
        on
            scopes.scope_kind = costs.scope_kind
            and scopes.scope_key = costs.scope_key
            and scopes.as_of_date - numbers.days_ago = costs.usage_date
    where scopes.as_of_date - numbers.days_ago >= scopes.first_date
),

means as (
    select
        scope_kind,
        scope_key,
        as_of_date,
        history_days,
        avg(cost_usd) as mean_usd,
        avg(cost_usd) filter (where days_ago < 28) as level_usd
    from days
    group by scope_kind, scope_key, as_of_date, history_days
),

-- Drawn towards the mean as if there were two more weeks of even days: one odd day is no profile.
shares as (
    select
        means.scope_kind,
        means.scope_key,
        means.as_of_date,
        means.history_days,
        means.level_usd,
        weekdays.weekday,
        (coalesce(sum(days.cost_usd) / nullif(means.mean_usd, 0), count(days.weekday)) + 2)
        / (count(days.weekday) + 2) as weekday_share,
        count(days.weekday) filter (where days.days_ago < 28) as level_days,
        max(days.cost_usd) filter (where days.days_ago < 7) as seasonal_naive_usd
    from means
    cross join generate_series(1, 7) as weekdays (weekday)
    left join days
        on
            means.scope_kind = days.scope_kind
            and means.scope_key = days.scope_key
            and weekdays.weekday = days.weekday
    group by
        means.scope_kind,
        means.scope_key,
        means.as_of_date,
        means.history_days,
        means.mean_usd,
        means.level_usd,
        weekdays.weekday
)

select
    {{ surrogate_key(["scope_kind", "scope_key", "weekday"]) }} as cost_forecast_baseline_key,
    scope_kind,
    scope_key,
    weekday,
    as_of_date,
    history_days,
    seasonal_naive_usd,
    level_usd,
    weekday_share,
    level_usd
    * weekday_share
    * sum(level_days) over scope
    / sum(level_days * weekday_share) over scope as weekday_profile_usd
from shares
window scope as (partition by scope_kind, scope_key)
