"""When patterns are learned: once a day, apart from the hourly refresh."""

import dagster as dg

from orchestration.defs.patterns.assets import KEY

learn = dg.define_asset_job(
    "learn",
    selection=dg.AssetSelection.assets(KEY),
    description="Learns patterns from runs; the next refresh counts their uses.",
)

learn_daily = dg.ScheduleDefinition(
    name="learn_daily",
    job=learn,
    cron_schedule="30 2 * * *",
    execution_timezone="UTC",
    description="Learns every night, when the day before is in. Off until it is switched on.",
)
