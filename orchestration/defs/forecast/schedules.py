"""When costs are forecast: once a day, apart from the hourly refresh."""

import dagster as dg

from orchestration.defs.forecast.assets import KEY

forecast = dg.define_asset_job(
    "forecast",
    selection=dg.AssetSelection.assets(KEY).downstream(),
    description="Forecasts costs and builds what shows and scores forecasts.",
)

forecast_daily = dg.ScheduleDefinition(
    name="forecast_daily",
    job=forecast,
    cron_schedule="30 1 * * *",
    execution_timezone="UTC",
    description="Forecasts every night, when the day before is in. Off until it is switched on.",
)
