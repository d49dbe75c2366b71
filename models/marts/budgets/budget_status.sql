-- One row per scope_kind, scope_key, period and period_start of a budget: ended periods and the running one.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["budget_status_key"], "unique": true}],
) }}

with budgets as (
    select * from {{ ref("int_budgets__combined") }}
),

costs as not materialized (
    select * from {{ ref("cost_by_scope_daily") }}
),

forecasts as (
    select * from {{ ref("cost_forecast") }}
),

weekday_profiles as (
    select * from {{ ref("cost_forecast_baseline") }}
),

-- The newest day may not be over.
clock as (
    select
        max(usage_date) as as_of_date,
        max(usage_date) - 1 as last_full_date
    from costs
    where scope_kind = 'total'
),

scopes as (
    select
        budgets.scope_kind,
        budgets.scope_key,
        min(costs.usage_date) as first_date
    from budgets
    left join costs
        on budgets.scope_kind = costs.scope_kind and budgets.scope_key = costs.scope_key
    group by budgets.scope_kind, budgets.scope_key
),

lengths (period, length) as (
    values
    ('day', interval '1 day'),
    ('week', interval '7 days'),
    ('month', interval '1 month'),
    ('quarter', interval '3 months')
),

periods as (
    select
        budgets.*,
        scopes.first_date,
        clock.as_of_date,
        clock.last_full_date,
        starts.at::date as period_start,
        (starts.at + lengths.length)::date - 1 as period_end
    from budgets
    inner join scopes
        on budgets.scope_kind = scopes.scope_kind and budgets.scope_key = scopes.scope_key
    inner join lengths on budgets.period = lengths.period
    cross join clock
    cross join lateral generate_series(
        date_trunc(budgets.period, least(scopes.first_date, clock.as_of_date)::timestamp),
        clock.as_of_date::timestamp,
        lengths.length
    ) as starts (at)
),

-- A period goes as a whole by the newest budget that is in force on any of its days.
budgeted as (
    select
        *,
        row_number() over (
            partition by scope_kind, scope_key, period, period_start order by valid_from desc
        ) as recency
    from periods
    where valid_from <= period_end and valid_to > period_start
),

period_sums as (
    select
        budgeted.scope_kind,
        budgeted.scope_key,
        budgeted.period,
        budgeted.period_start,
        sum(costs.cost_usd) as spent_usd,
        sum(costs.cost_usd) filter (where costs.usage_date <= budgeted.last_full_date)
            as full_days_usd,
        sum(costs.calls_unpriced)::bigint as calls_unpriced,
        count(costs.cost_usd) = 0 as is_unknown
    from budgeted
    inner join costs
        on
            budgeted.scope_kind = costs.scope_kind
            and budgeted.scope_key = costs.scope_key
            and costs.usage_date between budgeted.period_start and budgeted.period_end
    where budgeted.recency = 1
    group by
        budgeted.scope_kind, budgeted.scope_key, budgeted.period, budgeted.period_start
),

spent as (
    select
        budgeted.*,
        -- Unknown where nothing of it is known, nothing where there was nothing to pay.
        case
            when budgeted.first_date <= budgeted.period_end and period_sums.is_unknown is not true
                then coalesce(period_sums.spent_usd, 0)
        end as spent_usd,
        coalesce(period_sums.full_days_usd, 0) as full_days_usd,
        coalesce(period_sums.calls_unpriced, 0) as calls_unpriced,
        greatest(budgeted.last_full_date, budgeted.period_start - 1) as known_to
    from budgeted
    left join period_sums
        on
            budgeted.scope_kind = period_sums.scope_kind
            and budgeted.scope_key = period_sums.scope_key
            and budgeted.period = period_sums.period
            and budgeted.period_start = period_sums.period_start
    where budgeted.recency = 1
),

running as (
    select
        *,
        period_end - known_to as unknown_days
    from spent
    where period_end >= as_of_date
),

-- What the newest forecast says of the days after known_to; made some days ago, it says more than that.
forecast_sums as (
    select
        running.scope_kind,
        running.scope_key,
        running.period,
        to_end.total_yhat_usd - coalesce(to_known.total_yhat_usd, 0) as remaining_usd,
        sqrt(running.unknown_days::numeric / to_end.days_ahead)
        * (to_end.total_high_80_usd - to_end.total_yhat_usd) / 1.281552 as spread_above_usd,
        sqrt(running.unknown_days::numeric / to_end.days_ahead)
        * (to_end.total_yhat_usd - to_end.total_low_80_usd) / 1.281552 as spread_below_usd
    from running
    inner join forecasts as to_end
        on
            running.scope_kind = to_end.scope_kind
            and running.scope_key = to_end.scope_key
            and running.period_end = to_end.forecast_date
            and running.known_to >= to_end.as_of_date
    left join forecasts as to_known
        on
            running.scope_kind = to_known.scope_kind
            and running.scope_key = to_known.scope_key
            and running.known_to = to_known.forecast_date
    where to_end.total_high_80_usd is not null
),

-- The last eight weeks, back from the last day that is over, as far as the scope has been there.
weeks as (
    select
        scopes.scope_kind,
        scopes.scope_key,
        weeks_ago,
        coalesce(sum(costs.cost_usd), 0) as week_usd
    from scopes
    cross join clock
    cross join generate_series(0, 7) as weeks_ago
    left join costs
        on
            scopes.scope_kind = costs.scope_kind
            and scopes.scope_key = costs.scope_key
            and costs.usage_date between clock.last_full_date - 7 * weeks_ago - 6
            and clock.last_full_date - 7 * weeks_ago
    where clock.last_full_date - 7 * weeks_ago - 6 >= scopes.first_date
    group by scopes.scope_kind, scopes.scope_key, weeks_ago
),

levels as (
    select
        scope_kind,
        scope_key,
        week_usd,
        avg(week_usd) filter (where weeks_ago < 4) over (partition by scope_kind, scope_key)
            as level_usd
    from weeks
),

-- How far weeks are from the present level: growth counts as well as chance.
week_variances as (
    select
        scope_kind,
        scope_key,
        sum((week_usd - level_usd) ^ 2) / (count(*) - 1) as variance
    from levels
    group by scope_kind, scope_key
    having count(*) >= 3
),

profile_sums as (
    select
        running.scope_kind,
        running.scope_key,
        running.period,
        sum(weekday_profiles.weekday_profile_usd) as remaining_usd,
        sqrt(
            week_variances.variance
            * (running.unknown_days / 7.0 + (running.unknown_days / 7.0) ^ 2 / 2)
        ) as spread_usd
    from running
    cross join generate_series(1, running.unknown_days) as days_ahead
    inner join weekday_profiles
        on
            running.scope_kind = weekday_profiles.scope_kind
            and running.scope_key = weekday_profiles.scope_key
            and extract(isodow from running.known_to + days_ahead) = weekday_profiles.weekday
    inner join week_variances
        on
            running.scope_kind = week_variances.scope_kind
            and running.scope_key = week_variances.scope_key
    group by
        running.scope_kind,
        running.scope_key,
        running.period,
        running.unknown_days,
        week_variances.variance
),

remainders as (
    select
        spent.*,
        case
            when spent.spent_usd is null then null
            when spent.period_end < spent.as_of_date then 'actual'
            when forecast_sums.remaining_usd is not null then 'forecast'
            when profile_sums.remaining_usd is not null then 'weekday_profile'
        end as projected_by,
        coalesce(forecast_sums.remaining_usd, profile_sums.remaining_usd) as remaining_usd,
        spent.amount_usd - spent.full_days_usd as headroom_usd,
        coalesce(
            case
                when forecast_sums.remaining_usd < spent.amount_usd - spent.full_days_usd
                    then forecast_sums.spread_above_usd
                else forecast_sums.spread_below_usd
            end,
            profile_sums.spread_usd
        ) as spread_usd
    from spent
    left join forecast_sums
        on
            spent.scope_kind = forecast_sums.scope_kind
            and spent.scope_key = forecast_sums.scope_key
            and spent.period = forecast_sums.period
            and spent.period_end >= spent.as_of_date
    left join profile_sums
        on
            spent.scope_kind = profile_sums.scope_kind
            and spent.scope_key = profile_sums.scope_key
            and spent.period = profile_sums.period
            and spent.period_end >= spent.as_of_date
),

projected as (
    select
        *,
        case
            when projected_by = 'actual' then spent_usd
            when projected_by is not null
                then greatest(full_days_usd + remaining_usd, spent_usd)
        end as projected_usd,
        greatest(
            least((headroom_usd - remaining_usd) / nullif(spread_usd, 0), 8), -8
        ) as headroom_score
    from remainders
),

rated as (
    select
        *,
        -- The normal distribution by a logistic function, at most 0.0002 off, since numeric has none.
        case
            when projected_by is null then null
            when spent_usd >= amount_usd then 1
            when projected_by = 'actual' then 0
            when headroom_score is null then (remaining_usd >= headroom_usd)::int
            else 1 / (1 + exp(1.5976 * headroom_score + 0.070566 * headroom_score ^ 3))
        end::numeric as breach_probability,
        (
            select max(reached.threshold)
            from unnest(projected.thresholds) as reached (threshold)
            where projected.spent_usd >= reached.threshold * projected.amount_usd
        ) as threshold_reached
    from projected
)

select
    {{ surrogate_key([
        "scope_kind", "scope_key", "period", "period_start - date '2000-01-01'"
    ]) }} as budget_status_key,
    scope_kind,
    scope_key,
    period,
    period_start,
    period_end,
    as_of_date,
    set_in,
    amount_usd,
    spent_usd,
    spent_usd / amount_usd as spent_share,
    calls_unpriced,
    least(as_of_date, period_end) - period_start + 1 as days_elapsed,
    greatest(period_end - as_of_date, 0) as days_left,
    projected_usd,
    projected_by,
    breach_probability,
    threshold_reached,
    case
        when spent_usd is null then 'no_data'
        when spent_usd >= amount_usd then 'exceeded'
        when threshold_reached is not null then 'warning'
        else 'ok'
    end as status,
    projected_usd > 1.1 * amount_usd as is_projected_over
from rated
