-- One row per forecast_date, scope, method and horizon: how far the kept forecasts of a day were off.
{{ config(
    materialized="incremental",
    period="forecast_date",
    indexes=[{"columns": ["forecast_date", "forecast_scores_daily_key"], "unique": true}],
) }}

{{ dirtied_by(
    [ref("cost_by_scope_daily")],
    days_since_costs_before(ref("cost_by_scope_daily"), source("ops", "forecasts")),
) }}

with forecasts as (
    select * from {{ source("ops", "forecasts") }}
    where {{ in_dirty_days("forecast_date") }}
),

costs as (
    select * from {{ ref("cost_by_scope_daily") }}
    where {{ in_dirty_days("usage_date") }}
),

-- The newest day may not be over, and what comes after it is not known.
clock as (
    select max(usage_date) as newest_date
    from {{ ref("cost_by_scope_daily") }}
),

compared as (
    select
        forecasts.*,
        case
            when forecasts.forecast_date - forecasts.as_of_date <= 7 then '1-7 days'
            when forecasts.forecast_date - forecasts.as_of_date <= 28 then '8-28 days'
            else '29-90 days'
        end as horizon,
        coalesce(costs.cost_usd, 0) as actual_usd
    from forecasts
    inner join clock on forecasts.forecast_date < clock.newest_date
    left join costs
        on
            forecasts.scope_kind = costs.scope_kind
            and forecasts.scope_key = costs.scope_key
            and forecasts.forecast_date = costs.usage_date
),

-- Pinball loss of a quantile q: q of what it was too low, 1 - q of what it was too high.
scored as (
    select
        *,
        abs(actual_usd - yhat_usd) as error_usd,
        abs(actual_usd - yhat_usd) / nullif(naive_error_usd, 0) as scaled_error,
        (
            greatest(0.025 * (actual_usd - low_95_usd), 0.975 * (low_95_usd - actual_usd))
            + greatest(0.1 * (actual_usd - low_80_usd), 0.9 * (low_80_usd - actual_usd))
            + greatest(0.9 * (actual_usd - high_80_usd), 0.1 * (high_80_usd - actual_usd))
            + greatest(0.975 * (actual_usd - high_95_usd), 0.025 * (high_95_usd - actual_usd))
        )
        / 4 as pinball_usd
    from compared
)

select
    {{ surrogate_key([
        "forecast_date - date '2000-01-01'",
        "scope_kind",
        "scope_key",
        "method",
        "horizon",
    ]) }} as forecast_scores_daily_key,
    forecast_date,
    scope_kind,
    scope_key,
    method,
    horizon,
    count(*) as forecasts,
    sum(actual_usd) as actual_usd,
    sum(yhat_usd) as yhat_usd,
    sum(error_usd) as error_usd,
    count(scaled_error) as forecasts_scaled,
    sum(scaled_error) as scaled_error,
    count(low_80_usd) as forecasts_with_interval,
    sum(pinball_usd) as pinball_usd,
    count(*) filter (where actual_usd between low_80_usd and high_80_usd) as inside_80,
    count(*) filter (where actual_usd between low_95_usd and high_95_usd) as inside_95
from scored
group by forecast_date, scope_kind, scope_key, method, horizon
