-- One row per scope_kind, scope_key, method and horizon: how good the kept forecasts have been so far.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["forecast_accuracy_key"], "unique": true}],
) }}

with scores as (
    select * from {{ ref("forecast_scores_daily") }}
),

summed as (
    select
        scope_kind,
        scope_key,
        method,
        horizon,
        min(forecast_date) as first_date,
        max(forecast_date) as last_date,
        sum(forecasts)::bigint as forecasts,
        sum(actual_usd) as actual_usd,
        sum(yhat_usd) as yhat_usd,
        sum(error_usd) as error_usd,
        sum(scaled_error) / nullif(sum(forecasts_scaled), 0) as mase,
        nullif(sum(forecasts_with_interval), 0) as forecasts_with_interval,
        sum(pinball_usd) as pinball_usd,
        sum(inside_80) as inside_80,
        sum(inside_95) as inside_95
    from scores
    group by scope_kind, scope_key, method, horizon
)

select
    {{ surrogate_key(["scope_kind", "scope_key", "method", "horizon"]) }} as forecast_accuracy_key,
    scope_kind,
    scope_key,
    method,
    horizon,
    first_date,
    last_date,
    forecasts,
    error_usd / nullif(actual_usd, 0) as wape,
    (yhat_usd - actual_usd) / nullif(actual_usd, 0) as bias,
    mase,
    pinball_usd / forecasts_with_interval as pinball_usd,
    inside_80 / forecasts_with_interval as coverage_80,
    inside_95 / forecasts_with_interval as coverage_95
from summed
