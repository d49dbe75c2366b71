"""How many known anomalies `cost_anomalies` finds in made-up costs, and how often it cries wolf.

240 scopes of 320 days with growth, weekly rhythm and noise (fixed seed); from the 100th day on a day doubled,
one tripled and one without cost in each, and new levels in some. Judged by the mart's own SQL, but for the
least an anomaly must be worth: what is small beside the total must be found too. Then how long a refresh
takes after a change of the newest day, against all days.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.refresh import build_marts
from orchestration import bootstrap, server
from tests.cost_series import (
    FIRST_DAY,
    Score,
    added,
    flagged,
    judge,
    refresh,
    simulated,
    write_series,
)
from tests.refreshing import Refresher

if TYPE_CHECKING:
    from collections.abc import Callable

SCOPES = 240
DAYS = 320
SEED = 5
DATABASE = "agentbooks_anomalies"


def main() -> None:
    """Measure and print."""
    dsn = server.up().dsn
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"drop database if exists {DATABASE} with (force)")
        admin.execute(f"create database {DATABASE}")
    url = f"{dsn.rpartition('/')[0]}/{DATABASE}"
    with psycopg.connect(url, autocommit=True) as connection:
        bootstrap.bootstrap(connection)
        refresher = Refresher.build(url, build_marts)
        series = {str(number): one for number, one in enumerate(simulated(SCOPES, DAYS, SEED))}
        write_series(connection, {name: one.costs for name, one in series.items()})
        connection.execute("analyze marts.cost_daily")
        whole = _seconds(lambda: refresh(connection, refresher, at_any_price=True))
        scores = judge(series, flagged(connection, "workflow"))
        # As they are: with what an anomaly must be worth.
        as_they_are = _seconds(lambda: refresh(connection, refresher, is_full=True))
        connection.execute(
            "insert into ops.changes (table_name, keys) values ('marts.cost_daily', %s)",
            (psycopg.types.json.Jsonb({"day": str(FIRST_DAY + timedelta(DAYS - 1))}),),
        )
        newest = _seconds(lambda: refresh(connection, refresher))
    Console(width=120).print(_report({**scores, "all": added(scores.values())}))
    print(
        f"{SCOPES} scopes: {whole:.0f} s all of {DAYS} days at any price,"
        f" {as_they_are:.0f} s where an anomaly must be worth something, {newest:.1f} s the newest day"
    )


def _report(scores: dict[str, Score]) -> Table:
    kinds = ("x2", "x3", "none", "shift")
    table = Table()
    for heading in ("series", "false alarms per 1,000 days", "precision"):
        table.add_column(heading)
    for kind in kinds:
        table.add_column(f"found of {kind}")
    for name, score in scores.items():
        table.add_row(
            name,
            f"{score.false_alarms_per_1000_days:.2f}",
            f"{score.precision:.2f}",
            *(f"{score.recall(kind):.2f}" if score.done[kind] else "" for kind in kinds),
        )
    return table


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
