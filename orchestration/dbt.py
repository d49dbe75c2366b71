"""Runs the project's dbt in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration import database
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbt_common.events.base_types import EventMsg

PROJECT = Path(__file__).resolve().parent.parent
TARGET = PROJECT / os.environ.get("DBT_TARGET_PATH", "target")
_PLACES = (
    *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
    *("--log-path", str(PROJECT / "logs"), "--target-path", str(TARGET)),
)


def parse() -> None:
    """Write the manifest anew, which Dagster reads; needs no database."""
    from dbt.cli.main import dbtRunner

    outcome = dbtRunner().invoke(["--quiet", "parse", *_PLACES])
    if not outcome.success:
        raise AgentbooksError(f"dbt parse failed: {' '.join(str(outcome.exception).split())}.")


def build(
    select: list[str] | None = None,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> dict[str, int]:
    """Build seeds, models and tests on the chosen database.

    Args:
        select: dbt's node selection; everything by default.
        progress: Called after each node with its name, its number and the number of all nodes.

    Returns:
        Nodes by outcome, such as `{"success": 31, "pass": 129}`.

    Raises:
        AgentbooksError: A node failed; the sentence names the first.
    """
    from dbt.cli.main import dbtRunner

    def tell(event: EventMsg) -> None:
        totals = {
            "LogSeedResult": "total",
            "LogModelResult": "total",
            "LogTestResult": "num_models",
        }
        if event.info.name in totals:
            total = getattr(event.data, totals[event.info.name])
            progress(event.data.node_info.node_name, event.data.index, total)

    os.environ |= database.dbt_environment()
    arguments = ["--quiet", "--no-use-colors", "build", *_PLACES]
    if select:
        arguments += ["--select", *select]
    outcome = dbtRunner(callbacks=[tell]).invoke(arguments)
    counts: dict[str, int] = {}
    failed = None
    for result in getattr(outcome.result, "results", None) or []:
        status = str(result.status)
        counts[status] = counts.get(status, 0) + 1
        if failed is None and status in ("error", "fail", "runtime error"):
            failed = f"{result.node.name}: {' '.join((result.message or '').split())}"
    if not outcome.success:
        reason = failed or " ".join(str(outcome.exception).split())
        raise AgentbooksError(f"dbt build failed at {reason}; the log is logs/dbt.log.")
    return counts
