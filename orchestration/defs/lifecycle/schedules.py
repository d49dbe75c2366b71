"""When rows are archived and partitions made: nightly, apart from the hourly refresh."""

import dagster as dg

from orchestration.defs.lifecycle.assets import enforce_retention
from orchestration.defs.partitions.assets import month_partitions

enforce = dg.define_asset_job(
    "retention",
    selection=dg.AssetSelection.assets(enforce_retention),
    description="Archives, blanks and removes what is due by seed retention_policies.",
)

retention_daily = dg.ScheduleDefinition(
    name="retention_daily",
    job=enforce,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    description="Enforces retention every night. Off until it is switched on.",
)

maintain_partitions = dg.define_asset_job(
    "partitions",
    selection=dg.AssetSelection.assets(month_partitions),
    description="Makes the partitions of the months to come, and moves rows that waited for one.",
)

partitions_daily = dg.ScheduleDefinition(
    name="partitions_daily",
    job=maintain_partitions,
    cron_schedule="30 1 * * *",
    execution_timezone="UTC",
    description="Makes partitions every night. Off until it is switched on.",
)
