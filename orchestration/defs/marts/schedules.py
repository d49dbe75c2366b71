"""When everything is loaded and built."""

import dagster as dg

from orchestration.defs.forecast.assets import KEY as FORECASTS
from orchestration.defs.lifecycle.assets import enforce_retention

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all()
    - dg.AssetSelection.assets(FORECASTS)
    - dg.AssetSelection.assets(enforce_retention),
    description="Loads the inbox and builds everything that follows from the raw tables.",
)

refresh_hourly = dg.ScheduleDefinition(
    name="refresh_hourly",
    job=refresh,
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    description="Refreshes every hour, on the hour. Off until it is switched on.",
)
