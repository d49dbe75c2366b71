"""How long the applications' common queries take, under their own roles and policies.

`python -m benchmarks.reads` starts an embedded server of its own in a temporary folder, fills the raw
schemas (a million spans in each of two systems, as many messages in each of two others), measures,
adds nine million of each and measures again; `--size` names other sizes. Ten million take half an
hour and 30 GB of disk.

Each query runs in a transaction of its own as an application would send it: a role, a user, a tenant,
nothing prepared. It passes if 95 of 100 executions stay below the bar and if each plan goes by the
index that is there for it, in as few months as were asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from rich.console import Console
from rich.table import Table

from benchmarks.reads_queries import QUERIES, Query
from benchmarks.reads_rows import HELPERS, PEOPLE, ROWS
from orchestration import bootstrap, server

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (1_000_000, 10_000_000)
EXECUTIONS = 200
# Of these the fastest counts, because other processes of the machine are no matter of the query.
TRIES = 3
PLANS = 20
# The embedded server's own 128 MB are for a demo: the graph over 100,000 patterns alone has 700 MB.
SHARED_BUFFERS = "2GB"
BAR_MS = 20.0
# Reading all of a table or partition is no fault if it has fewer rows than this.
SMALL_TABLE = 5_000


@dataclass
class Result:
    """What was seen of one query."""

    selectivity: float
    faults: set[str]
    # For each of the parameters, the milliseconds of its tries.
    tries: list[list[float]] = field(default_factory=lambda: [[] for _ in range(EXECUTIONS)])
    rows: list[int] = field(default_factory=list)

    @property
    def fastest(self) -> list[float]:
        """The fastest try with each of the parameters, in milliseconds."""
        return [min(tries) for tries in self.tries]

    @property
    def is_met(self) -> bool:
        """Whether the query passes."""
        return _p95(self.fastest) < BAR_MS and not self.faults


def main() -> None:
    """Measure and print; end with 1 if a query misses the bar."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reads", description=__doc__)
    parser.add_argument(
        "--size",
        type=int,
        action="append",
        help="spans and messages, a multiple of 100,000; may be given more than once, rising",
    )
    sizes = parser.parse_args().size or list(SIZES)
    if sizes != sorted(set(sizes)) or any(size < 100_000 or size % 100_000 for size in sizes):
        parser.error("sizes must be multiples of 100,000 and rise")

    with tempfile.TemporaryDirectory() as folder:
        # If root starts the server, another user has to pass through.
        Path(folder).chmod(0o755)
        os.environ[server.HOME_VARIABLE] = str(Path(folder) / "home")
        try:
            is_met = _measure(start_server(), sizes)
        finally:
            server.down()
    raise SystemExit(0 if is_met else 1)


def start_server() -> str:
    """Start a server with the memory that so much data asks for; return its URL."""
    with psycopg.connect(server.up().dsn, autocommit=True) as connection:
        connection.execute(f"alter system set shared_buffers = '{SHARED_BUFFERS}'".encode())
    server.down()
    return server.up().dsn


def _measure(dsn: str, sizes: list[int]) -> bool:
    console = Console(width=240)
    is_met = True
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        bootstrap.bootstrap(connection)
        connection.execute(HELPERS.encode())
        _show_plans(connection)
        loaded = 0
        for size in sizes:
            started = time.perf_counter()
            load(connection, loaded, size)
            console.print(
                f"{size:,} spans and messages: {time.perf_counter() - started:.0f} s to load"
            )
            loaded = size
            results = measure(connection, size)
            console.print(report(size, results))
            is_met = is_met and all(result.is_met for result in results.values())
    return is_met


def _show_plans(connection: psycopg.Connection) -> None:
    """Have plans sent as notices when asked: those of the statements inside functions too."""
    connection.execute("load 'auto_explain'")
    for setting, value in {
        "log_format": "json",
        "log_level": "notice",
        "log_nested_statements": "on",
        "log_verbose": "on",
    }.items():
        connection.execute(f"set auto_explain.{setting} = '{value}'".encode())


def load(connection: psycopg.Connection, first: int, last: int) -> None:
    """Add the rows from first to last (exclusive), and before the first of all the people."""
    inserts = (PEOPLE if first == 0 else {}) | ROWS
    # Keys and triggers aside, and indexes made at the end: ten million rows would take hours.
    connection.execute("set session_replication_role = replica")
    connection.execute("set maintenance_work_mem = '1GB'")
    definitions = _drop_indexes(connection, list(inserts))
    for table, insert in inserts.items():
        _make_months(connection, table)
        connection.execute(Template(insert).substitute(first=first, last=last).encode())
    for definition in definitions:
        connection.execute(definition.encode())
    connection.execute("reset session_replication_role")
    connection.execute("vacuum (analyze)")


def _drop_indexes(connection: psycopg.Connection, tables: list[str]) -> list[str]:
    """Drop all indexes but those of keys; return the statements that make them again."""
    indexes = connection.execute(
        """
        select n.nspname, c.relname, replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ')
        from pg_index as i
        join pg_class as c on c.oid = i.indexrelid
        join pg_namespace as n on n.oid = c.relnamespace
        where i.indrelid = any (%s::regclass[])
            and not exists (select from pg_constraint as k where k.conindid = i.indexrelid)
        order by i.indexrelid
        """,
        [tables],
    ).fetchall()
    for schema, name, _ in indexes:
        connection.execute(SQL("drop index {}").format(Identifier(schema, name)))
    return [definition for _, _, definition in indexes]


def _make_months(connection: psycopg.Connection, table: str) -> None:
    connection.execute(
        """
        select ops.create_month_partitions(partrelid, date '2025-06-01', date '2025-11-30')
        from pg_partitioned_table
        where partrelid = %s::regclass
        """,
        [table],
    )


def measure(connection: psycopg.Connection, size: int) -> dict[Query, Result]:
    """Run each query with each of its parameters, in turns so that noise meets all alike."""
    catalog = Catalog(connection)
    results = {}
    parameters = {query: _parameters(connection, query, size) for query in QUERIES}
    for query in QUERIES:
        matches = _matches(connection, query, parameters[query])
        faults: set[str] = set()
        for row in parameters[query][:PLANS]:
            faults |= catalog.faults(query, _plan(connection, query, row))
        results[query] = Result(matches / catalog.rows(query.table), faults)
    for turn in [*range(EXECUTIONS)] * TRIES:
        for query, result in results.items():
            milliseconds, rows = _run(connection, query, parameters[query][turn])
            result.tries[turn].append(milliseconds)
            result.rows.append(len(rows))
    return results


def _parameters(connection: psycopg.Connection, query: Query, size: int) -> list[dict[str, Any]]:
    statement = Template(query.parameters).substitute(executions=EXECUTIONS, size=size)
    rows = connection.cursor(row_factory=dict_row).execute(statement.encode()).fetchall()
    if len(rows) < EXECUTIONS:
        raise SystemExit(f"{query.name}: {len(rows)} rows of parameters, {EXECUTIONS} wanted")
    return rows


def _run(
    connection: psycopg.Connection, query: Query, row: dict[str, Any], sql: str | None = None
) -> tuple[float, list[tuple[Any, ...]]]:
    """Run a query as its application does; return the milliseconds and the rows."""
    with connection.transaction():
        connection.execute(SQL("set local role {}").format(Identifier(query.role)))
        connection.execute(
            "select set_config('app.user_id', %s, true), set_config('app.tenant_id', %s, true)",
            [str(row.get("user_id", "")), row.get("tenant_id", "")],
        )
        started = time.perf_counter()
        cursor = connection.execute((sql or query.sql).encode(), {"limit": query.limit} | row)
        rows = cursor.fetchall()
        return (time.perf_counter() - started) * 1000, rows


def _matches(
    connection: psycopg.Connection, query: Query, parameters: list[dict[str, Any]]
) -> float:
    """Return how many rows the query finds without its limit, the median of a few."""
    count = f"select count(*) from ({query.sql}) as found"
    counts = [
        _run(connection, query, row | {"limit": 10_000_000}, count)[1][0][0]
        for row in parameters[:5]
    ]
    return float(statistics.median(counts))


def _plan(
    connection: psycopg.Connection, query: Query, row: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the nodes of the plans of a query and of what runs inside the functions it calls."""
    plans: list[dict[str, Any]] = []

    def _receive(diagnostic: psycopg.errors.Diagnostic) -> None:
        plans.append(json.loads((diagnostic.message_primary or "").partition("plan:")[2])["Plan"])

    connection.add_notice_handler(_receive)
    connection.execute("set auto_explain.log_min_duration = 0")
    _run(connection, query, row)
    connection.execute("set auto_explain.log_min_duration = -1")
    connection.remove_notice_handler(_receive)
    while plans:
        node = plans.pop()
        yield node
        plans += node.get("Plans", [])


class Catalog:
    """The raw schemas' tables and indexes: whose partitions they are, and how many rows they hold."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._parents: dict[str, str] = {}
        self._rows: dict[str, float] = {}
        for name, parent, rows in connection.execute(
            """
            select
                case when c.relkind = 'r' then c.oid::regclass::text else c.relname end,
                case when c.relkind = 'r' then t.oid::regclass::text else t.relname end,
                greatest(c.reltuples, 0)
            from pg_class as c
            left join pg_inherits as i on i.inhrelid = c.oid
            join pg_class as t on t.oid = coalesce(i.inhparent, c.oid)
            where c.relkind in ('r', 'i')
            """
        ):
            self._parents[name] = parent
            self._rows[name] = rows

    def rows(self, table: str) -> float:
        """Return the number of rows of a table, those of its partitions together."""
        return sum(self._rows[name] for name, parent in self._parents.items() if parent == table)

    def faults(self, query: Query, plan: Iterator[dict[str, Any]]) -> set[str]:
        """Say what is wrong with a plan."""
        faults, indexes, parts = set(), set(), set()
        for node in plan:
            if "Index Name" in node:
                indexes.add(self._parents[node["Index Name"]])
            if "Relation Name" in node:
                relation = f"{node['Schema']}.{node['Relation Name']}"
                parent = self._parents[relation]
                if parent == query.table:
                    parts.add(relation)
                if node["Node Type"] == "Seq Scan" and self._rows[relation] > SMALL_TABLE:
                    faults.add(f"reads all of {relation}")
        if not indexes.intersection(query.indexes):
            faults.add(f"goes by {', '.join(sorted(indexes))}")
        if query.months and len(parts) > query.months:
            faults.add(f"looks in {len(parts)} months instead of {query.months}")
        return faults


def report(size: int, results: dict[Query, Result]) -> Table:
    """Return one line a query."""
    table = Table(
        title=f"{size:,} spans and messages: {EXECUTIONS} parameters, the fastest of {TRIES} tries each"
    )
    for heading in ("query", "role", "index"):
        table.add_column(heading)
    for heading in ("limit", "rows", "share found", "p50 ms", "p95 ms", "p95 of all tries"):
        table.add_column(heading, justify="right")
    table.add_column(f"p95 < {BAR_MS:.0f} ms by index")
    for query, result in results.items():
        table.add_row(
            query.name,
            query.role,
            " or ".join(query.indexes),
            str(query.limit or "none"),
            f"{statistics.median(result.rows):.0f}",
            f"{result.selectivity:.5%}",
            f"{statistics.median(result.fastest):.2f}",
            f"{_p95(result.fastest):.2f}",
            f"{_p95([milliseconds for tries in result.tries for milliseconds in tries]):.2f}",
            "met" if result.is_met else "; ".join(["missed", *sorted(result.faults)]),
        )
    return table


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


if __name__ == "__main__":
    main()
