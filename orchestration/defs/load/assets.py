"""The raw tables that the loader writes, as assets."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg

from orchestration import database, loader
from orchestration.agent_run import COLUMNS

INBOX = Path(".agentbooks") / "inbox"


class LoadConfig(dg.Config):
    """Which files are loaded. Loading a file again adds nothing, so files may stay where they are."""

    inbox: str = str(INBOX)
    """Folder whose `*.ndjson` and `*.ndjson.gz` are loaded; it may be missing."""
    undated_as: str | None = None
    """Day (YYYY-MM-DD) that runs without any start time are taken to have started on."""


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            key=table.split("."),
            group_name="raw",
            kinds={"postgres"},
            description=f"Raw table {table}, as bootstrap_sql makes it and the loader fills it.",
        )
        for table in COLUMNS
    ],
)
def load_agent_runs(
    context: dg.AssetExecutionContext, config: LoadConfig
) -> Iterator[dg.MaterializeResult[None]]:
    """Load the inbox's files of agent runs into the raw tables."""
    inbox = Path(config.inbox)
    files = sorted([*inbox.glob("*.ndjson"), *inbox.glob("*.ndjson.gz")])
    undated_as = date.fromisoformat(config.undated_as) if config.undated_as else None
    with database.connect(autocommit=True) as connection:
        summary = loader.load_agent_runs(connection, files, undated_as)
    context.log.info("%s: %s", inbox, summary.sentence())
    for table in COLUMNS:
        yield dg.MaterializeResult(
            asset_key=table.split("."),
            metadata={
                **({"rows_added": summary.rows[table]} if table in summary.rows else {}),
                "files_read": summary.files,
                "runs_loaded": summary.loaded,
                "runs_already_loaded": summary.already_loaded,
                "records_rejected": summary.rejected,
            },
        )
