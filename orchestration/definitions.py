"""Dagster's code location: assembles what the topics in `defs/` define."""

import dagster as dg

from orchestration.defs.load.assets import load_agent_runs
from orchestration.defs.marts.assets import dbt_cli, marts
from orchestration.defs.marts.schedules import refresh, refresh_hourly

defs = dg.Definitions(
    assets=[load_agent_runs, marts],
    jobs=[refresh],
    schedules=[refresh_hourly],
    resources={"dbt": dbt_cli},
)
