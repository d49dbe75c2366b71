"""The monthly partitions as an asset, and what waits without one as its check."""

import dagster as dg

from orchestration import database


@dg.asset(group_name="raw", kinds={"postgres"})
def month_partitions() -> dg.MaterializeResult[None]:
    """Partitions of this month and three more for every raw table that has them."""
    with database.connect() as connection:
        row = connection.execute(
            "select sum(partitions_made)::int, sum(rows_moved)::int from ops.maintain_partitions()"
        ).fetchone()
    made, moved = row or (0, 0)
    return dg.MaterializeResult(metadata={"partitions_made": made, "rows_moved": moved})


@dg.asset_check(asset=month_partitions)
def no_row_without_a_month() -> dg.AssetCheckResult:
    """No row waits in a default partition: there it could not leave with its month."""
    with database.connect() as connection:
        rows = connection.execute(
            "select table_name, waiting_rows, first_at::text from ops.rows_in_default_partitions()"
            " where waiting_rows > 0"
        ).fetchall()
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(
            f"{name}: {count} rows, the first of {first}" for name, count, first in rows
        )
        or None,
    )
