-- One row per scope_kind, scope_key and forecast_date: the newest forecast.
{{ config(
    materialized="incremental",
    indexes=[
        {"columns": ["cost_forecast_key"], "unique": true},
        {"columns": ["scope_kind", "scope_key", "forecast_date"], "unique": true},
    ],
) }}

with forecasts as (
    select * from {{ source("ops", "forecasts") }}
),

newest as (
    select max(as_of_date) as as_of_date
    from forecasts
)

select
    {{ surrogate_key([
        "forecasts.scope_kind",
        "forecasts.scope_key",
        "forecasts.forecast_date - date '2000-01-01'",
    ]) }} as cost_forecast_key,
    forecasts.scope_kind,
    forecasts.scope_key,
    forecasts.forecast_date,
    forecasts.as_of_date,
    forecasts.forecast_date - forecasts.as_of_date as days_ahead,
    forecasts.method,
    forecasts.history_days,
    forecasts.yhat_usd,
    forecasts.low_80_usd,
    forecasts.high_80_usd,
    forecasts.low_95_usd,
    forecasts.high_95_usd,
    forecasts.total_yhat_usd,
    forecasts.total_low_80_usd,
    forecasts.total_high_80_usd,
    forecasts.total_low_95_usd,
    forecasts.total_high_95_usd
from forecasts
inner join newest on forecasts.as_of_date = newest.as_of_date
