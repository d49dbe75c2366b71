"""Dagster's code location: assembles what the topics in `defs/` define."""

import dagster as dg

from orchestration.defs.forecast.assets import forecasts
from orchestration.defs.forecast.schedules import forecast, forecast_daily
from orchestration.defs.lifecycle.assets import enforce_retention
from orchestration.defs.lifecycle.schedules import (
    enforce,
    maintain_partitions,
    partitions_daily,
    retention_daily,
)
from orchestration.defs.load.assets import load_agent_runs
from orchestration.defs.marts.assets import dbt_cli, marts
from orchestration.defs.marts.schedules import refresh, refresh_hourly
from orchestration.defs.partitions.assets import month_partitions, no_row_without_a_month
from orchestration.defs.patterns.assets import learned_counts
from orchestration.defs.patterns.schedules import learn, learn_daily

defs = dg.Definitions(
    assets=[month_partitions, load_agent_runs, marts, forecasts, learned_counts, enforce_retention],
    asset_checks=[no_row_without_a_month],
    jobs=[refresh, forecast, learn, enforce, maintain_partitions],
    schedules=[refresh_hourly, forecast_daily, learn_daily, retention_daily, partitions_daily],
    resources={"dbt": dbt_cli},
)
