"""Fills columns that came later from what the rows already say, in batches beside writers.

What a batch does is a function of the database, in a transaction of its own: whoever stops this, and
however, loses one batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from orchestration import catalog
from orchestration.database import first_line, patiently
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 2_500  # a writer waits for a whole one, if for a row
RAAF = "raaf.raaf_tracing_spans"


@dataclass
class Summary:
    """How many spans a backfill has looked at and written, and what it could not write."""

    seen: int = 0
    written: int = 0
    validated: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        """Tell it in one line."""
        told = [f"{self.written} of {self.seen} spans filled", f"{self.validated} checks validated"]
        told += [f"{count} times {reason}" for reason, count in sorted(self.refused.items())]
        return "; ".join(told) + "."


def raaf(
    connection: psycopg.Connection, tell: Callable[[int], None] = lambda seen: None
) -> Summary:
    """Fill the columns of enhanced tracing from the spans' attributes, then validate their checks.

    Args:
        connection: In autocommit mode, as each batch is a transaction of its own.
        tell: Called after each batch with the spans seen so far.

    Raises:
        AgentbooksError: The database has no such columns, or rows stay that a check refuses.
    """
    try:
        return _raaf(connection, tell)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise AgentbooksError(
            "backfill raaf: the raw schemas are not up to date; run `agentbooks bootstrap` first."
        ) from error
    except psycopg.Error as error:
        raise AgentbooksError(
            f"backfill raaf: {first_line(error)}; what is done stays, run it again to go on."
        ) from error


def _raaf(connection: psycopg.Connection, tell: Callable[[int], None]) -> Summary:
    is_over = False
    while not is_over:
        patiently(lambda: connection.execute("select from raaf.backfill_spans(%s)", (BATCH,)))
        seen, is_over = connection.execute(
            "select sum(rows_seen)::bigint, bool_and(finished_at is not null)"
            " from ops.backfills where name = 'raaf'"
        ).fetchall()[0]
        tell(seen)
    summary = Summary(validated=_validate(connection))
    for seen, written, refused in connection.execute(
        "select rows_seen, rows_written, refused from ops.backfills where name = 'raaf'"
    ):
        summary.seen += seen
        summary.written += written
        for reason, count in refused.items():
            summary.refused[reason] = summary.refused.get(reason, 0) + count
    return summary


def _validate(connection: psycopg.Connection) -> int:
    def validate() -> int:
        with connection.transaction():
            before = catalog.objects(connection)
            row = connection.execute("select ops.validate_checks(%s)", (RAAF,)).fetchone()
            if row and row[0]:
                catalog.record(connection, "110_raaf_enhanced_spans", before)
            return int(row[0]) if row else 0

    return patiently(validate)
