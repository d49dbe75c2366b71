"""What a refresh costs: against a full build, the length of history, hand-written SQL, and nothing at all.

`python -m benchmarks.refresh` starts an embedded server of its own in a temporary folder and makes 90
days of agent runs in it, a million spans in one database and ten million in another; `--size` names
other sizes. Times are the database's: after one build of the empty marts `target/run` holds the
statement of each refreshed model, and those run again through psycopg as dbt runs them, each in a
transaction, without dbt's start-up and catalog queries. Figures are medians; the JSON file has the
spread too. Bars are ratios within one run of this program, most of them at ten million spans.

AGENTBOOKS_RUNS names a folder of real runs, which dbt itself then builds the whole project of. DuckDB
is compared with if it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.load import UNDATED_AS
from benchmarks.reads import SIZES, start_server
from benchmarks.refresh_queries import CALLS, COSTS_BY_HAND, DASHBOARDS
from benchmarks.refresh_rows import TRAFFIC
from orchestration import bootstrap, dbt, loader, server
from tests.refreshing import Refresher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULTS = Path(__file__).resolve().parent / "results" / "refresh.json"
FEW, MANY = SIZES
DAYS = 90
FIRST_DAY = date(2026, 1, 1)
SPANS_PER_RUN = 20
PARTITIONED = (
    "observability.spans",
    "agentic.conversation_history",
    "agentic.agent_decisions",
    "traceability.pattern_usage_log",
)
# What a day of cost_daily takes from raw rows on.
COSTS = (
    "intermediate.int_models__recorded",
    "intermediate.int_models__matched",
    "intermediate.int_runs__daily_activity",
    "marts.agent_runs",
    "marts.cost_daily",
)
FULL_BUILDS = 3
NEW_DAYS = 5
IDLE_REFRESHES = 15
AUTOVACUUM_NAPTIME = 75
COPY_PAIRS = 21
COPIED_ROWS = 20_000
READS = 200
PARQUET_READS = 20

MODEL_BY_DAY = re.compile(r"\$model_sql\$(.*)\$model_sql\$,\s*'period',\s*'(\w+)'", re.S)

Seconds = dict[str, float]
Spread = dict[str, float]


@dataclass
class World:
    """A database, how far its history goes, and what was measured."""

    size: int
    url: str
    connection: psycopg.Connection
    refresher: Refresher
    runs: int = 0
    days: int = 0
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def last_day(self) -> date:
        """The newest day that runs started on."""
        return FIRST_DAY + timedelta(days=self.days - 1)

    def write_day(self, spans: int) -> None:
        """Write the runs of the next day, in one transaction, as a load does; it costs what others cost."""
        first = self.runs + 1
        self.runs += round(spans / SPANS_PER_RUN)
        self.days += 1
        self.connection.execute(
            "select bench.write_day(%s, %s, %s, %s)",
            (self.last_day, first, self.runs, round(self.size / DAYS / spans)),
        )

    def refresh(self, *, is_full: bool = False) -> tuple[Seconds, float]:
        """Refresh everything in a session of its own, as a run of dbt does.

        Returns:
            Seconds of what comes before the models and of each of them, and the session's memory in
            MB when it had most.
        """
        with (
            psycopg.connect(self.url, autocommit=True) as session,
            _peak_memory(session.info.backend_pid) as peak,
        ):
            seconds = {"before": _seconds(lambda: self.refresher.collect(session))}
            for name, statement in self.refresher.statements.items():

                def run(name: str = name, statement: str = statement) -> None:
                    self.refresher.run(session, name, statement, is_full=is_full)

                seconds[name] = _seconds(run)
        return seconds, peak[0] / 1024


@dataclass(frozen=True)
class Figure:
    """One line of the result; without a bar it is only told."""

    name: str
    value: float
    unit: str = ""
    bar: str = ""
    is_met: bool | None = None


def main() -> None:
    """Measure, print and write; end with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh", description=__doc__)
    parser.add_argument(
        "--size", type=int, action="append", help="spans; may be given more than once"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON file to write")
    arguments = parser.parse_args()

    measured: dict[int, dict[str, Any]] = {}
    real_build = None
    with tempfile.TemporaryDirectory() as folder:
        # If root starts the server, another user has to pass through.
        Path(folder).chmod(0o755)
        os.environ[server.HOME_VARIABLE] = str(Path(folder) / "home")
        try:
            dsn = start_server()
            for size in arguments.size or SIZES:
                measured[size] = _measure(dsn, size, Path(folder))
            if os.environ.get("AGENTBOOKS_RUNS"):
                real_build = _real_build(dsn)
        finally:
            server.down()

    figures = _figures(measured)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(
        json.dumps(
            {
                "figures": [vars(figure) for figure in figures],
                "sizes": measured,
                "build_of_real_runs": real_build,
            },
            indent=2,
        )
        + "\n"
    )
    console = Console(width=140)
    console.print(_report(figures))
    if real_build:
        console.print("dbt build of the real runs:", real_build)
    raise SystemExit(any(figure.is_met is False for figure in figures))


def _measure(dsn: str, size: int, folder: Path) -> dict[str, Any]:
    world = _world(dsn, size)
    with world.connection:
        _say(size, "load")
        world.figures["load_seconds"] = _seconds(lambda: _load(world))
        _say(size, "build")
        world.figures["full_build"] = _of_all([_full_build(world) for _ in range(FULL_BUILDS)])
        world.connection.execute("vacuum analyze")
        _say(size, "refresh")
        world.figures["day"] = _new_days(world, size // DAYS)
        world.figures["same_rows"] = _new_days(world, FEW // DAYS)
        # By then autovacuum has summarised the newest rows.
        time.sleep(AUTOVACUUM_NAPTIME)
        world.figures["idle"] = _of_all([world.refresh() for _ in range(IDLE_REFRESHES)])
        _say(size, "read")
        world.figures["reads"] = _reads(world, folder)
        _say(size, "copy")
        world.figures["copy"] = _copies(world)
    return world.figures


def _world(dsn: str, size: int) -> World:
    """Make a database with the raw schemas, empty marts, and functions that make runs."""
    name = f"bench_{size}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
    url = f"{dsn.rpartition('/')[0]}/{name}"
    connection = psycopg.connect(url, autocommit=True)
    bootstrap.bootstrap(connection)
    connection.execute(TRAFFIC.encode())
    refresher = Refresher.build(url, build_marts)
    connection.execute("create table bench.cost_daily (like marts.cost_daily including all)")
    return World(size, url, connection, refresher)


def build_marts(url: str, select: list[str] | None = None) -> None:
    """Build the dbt project on a database."""
    os.environ["AGENTBOOKS_DATABASE_URL"] = url
    try:
        dbt.build(select)
    finally:
        del os.environ["AGENTBOOKS_DATABASE_URL"]


def _load(world: World) -> None:
    last_day = FIRST_DAY + timedelta(days=DAYS + 2 * NEW_DAYS + 1)
    for table in PARTITIONED:
        world.connection.execute(
            "select ops.create_month_partitions(%s, %s, %s)", (table, FIRST_DAY, last_day)
        )
    # Keys to other tables are checked row by row, which is no matter of the refresh.
    world.connection.execute("set session_replication_role = replica")
    for _ in range(DAYS):
        world.write_day(world.size // DAYS)
    world.connection.execute("vacuum analyze")


def _full_build(world: World) -> tuple[Seconds, float]:
    for table in world.refresher.statements:
        world.connection.execute(f"truncate {table}".encode())
    return world.refresh(is_full=True)


def _new_days(world: World, spans: int) -> dict[str, Any]:
    """Refresh after each of some new days; then do the same day's costs by hand."""
    cursor = psycopg.ClientCursor(world.connection)
    refreshes, hands = [], []
    for _ in range(NEW_DAYS):
        world.write_day(spans)
        refreshes.append(world.refresh())
    rendered = [_rendered_by_hand(world, name) for name in _by_day(world.refresher)]
    for day in (world.last_day - timedelta(days=back) for back in range(NEW_DAYS)):

        def write_costs(day: date = day) -> None:
            cursor.execute(COSTS_BY_HAND, {"day": day})

        hands.append(_seconds(write_costs))
        _assert_equal_costs(world.connection, day)
    hand = statistics.median(hands)
    refreshed = refreshes[-1][0]
    return _of_all(refreshes) | {
        "rendered_by_hand": {
            name: refreshed[name] / seconds
            for name, seconds in zip(_by_day(world.refresher), rendered, strict=True)
        },
        "all_of_rendered_by_hand": sum(refreshed[name] for name in _by_day(world.refresher))
        / sum(rendered),
        "costs_by_hand": _spread(hands),
        "cost_daily_of_hand": _spread([each["marts.cost_daily"] / hand for each, _ in refreshes]),
        "costs_from_raw_rows_of_hand": _spread(
            [sum(each[model] for model in COSTS) / hand for each, _ in refreshes]
        ),
    }


def _by_day(refresher: Refresher) -> list[str]:
    return [name for name, statement in refresher.statements.items() if "'period'" in statement]


def _rendered_by_hand(world: World, table: str) -> float:
    """Time a delete and an insert of the days that a table's last refresh replaced: of the same rows.

    The insert is the model's own query with the days written into it, as one would by hand.
    """
    [(query, column)] = MODEL_BY_DAY.findall(world.refresher.statements[table])
    days = world.connection.execute(
        """
        select coalesce(array_agg(p.period), '{}')
        from ops.refreshed_periods as p
        inner join ops.refreshes as r on p.target = r.target and p.seen::text = r.seen::text
        where p.target = %s
        """,
        (table,),
    ).fetchall()[0][0]

    ((query, on_days),) = world.connection.execute(
        "select ops.of_periods(%s, %s), ops.in_periods(%s, %s, true)", (query, days, column, days)
    ).fetchall()
    delete = f"delete from {table} where {on_days}"

    def replace() -> None:
        with world.connection.transaction():
            world.connection.execute(delete.encode())
            world.connection.execute(f"insert into {table} {query}".encode())

    return _seconds(replace)


def _assert_equal_costs(connection: psycopg.Connection, day: date) -> None:
    """Compare the costs by hand with the mart's: other rows would be other work."""
    differing = connection.execute(
        """
        with mart as (select * from marts.cost_daily where usage_date = %(day)s),
        by_hand as (select * from bench.cost_daily where usage_date = %(day)s)
        (select * from mart except all select * from by_hand)
        union all
        (select * from by_hand except all select * from mart)
        """,
        {"day": day},
    ).fetchall()
    if differing:
        raise SystemExit(f"{day}: {len(differing)} costs differ from the mart: mend COSTS_BY_HAND")


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[int]]:
    """Watch the memory that a session has for itself, in kB; shared buffers are not in it."""
    peak, is_over = [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            status = Path(f"/proc/{pid}/status").read_text()
            peak[0] = max(peak[0], int(status.partition("RssAnon:")[2].split()[0]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        is_over.set()
        watcher.join()


def _reads(world: World, folder: Path) -> dict[str, Any]:
    """Ask the dashboards' questions of the marts, of the raw spans, and of DuckDB."""
    duck = _duckdb(world, folder)
    reads = {}
    for dashboard in DASHBOARDS:
        since = {"day": world.last_day - timedelta(days=dashboard.days)}

        def read(query: str, since: dict[str, date] = since) -> float:
            return _seconds(lambda: world.connection.execute(query.encode(), since).fetchall())

        marts = [read(dashboard.of_marts) for _ in range(READS)]
        reads[dashboard.name] = {
            "marts": _spread(marts) | {"p95": statistics.quantiles(marts, n=20)[-1]},
            "raw": _spread([read(dashboard.of_raw)]),
        }
        if duck is not None:

            def read_parquet(
                query: str = dashboard.of_parquet, since: dict[str, date] = since
            ) -> None:
                duck.execute(query, since).fetchall()

            reads[dashboard.name]["duckdb"] = _spread(
                [_seconds(read_parquet) for _ in range(PARQUET_READS)]
            )
    return reads


def _duckdb(world: World, folder: Path) -> Any:
    """Open DuckDB on the calls of all spans as Parquet; None if it is not installed."""
    if find_spec("duckdb") is None:
        return None
    duckdb = import_module("duckdb")
    rows, parquet = folder / "calls.csv", folder / f"calls_{world.size}.parquet"
    query = f"copy ({CALLS}) to stdout (format csv, header)"
    with rows.open("wb") as file, world.connection.cursor().copy(query.encode()) as copy:
        for block in copy:
            file.write(block)
    duck = duckdb.connect()
    duck.execute(f"copy (from read_csv('{rows}')) to '{parquet}' (format parquet)")
    duck.execute(f"create view calls as from '{parquet}'")
    rows.unlink()
    return duck


def _copies(world: World) -> Spread:
    """Time COPY into spans as they are, against the same table without the change id and its index."""
    connection = world.connection
    for table in ("captured", "bare"):
        connection.execute(
            f"create table bench.{table} (like observability.spans including all)".encode()
        )
    connection.execute("alter table bench.bare drop column change_id")
    columns = ", ".join(
        row[0]
        for row in connection.execute(
            """
            select attname from pg_attribute
            where attrelid = 'bench.bare'::regclass and attnum > 0 and not attisdropped
            """
        )
    )
    query = f"copy (select {columns} from observability.spans limit {COPIED_ROWS}) to stdout"
    with connection.cursor().copy(query.encode()) as copy:
        rows = b"".join(bytes(block) for block in copy)

    def fill(table: str) -> float:
        connection.execute(f"truncate bench.{table}".encode())

        def write() -> None:
            with connection.cursor().copy(
                f"copy bench.{table} ({columns}) from stdin".encode()
            ) as copy:
                copy.write(rows)

        return _seconds(write)

    ratios = []
    for pair in range(COPY_PAIRS):
        # The second finds the machine in another state than the first, so they take turns.
        order = ("captured", "bare") if pair % 2 else ("bare", "captured")
        seconds = {table: fill(table) for table in order}
        ratios.append(seconds["captured"] / seconds["bare"])
    return _spread(ratios)


def _real_build(dsn: str) -> dict[str, Any]:
    """Time `dbt build` of the whole project, and how long of it the database worked.

    The first builds everything, tests included; the second finds nothing changed.
    """
    files = sorted(Path(os.environ["AGENTBOOKS_RUNS"]).glob("runs_*.ndjson.gz"))
    url = f"{dsn.rpartition('/')[0]}/bench_real_runs"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("create database bench_real_runs")
        with psycopg.connect(url, autocommit=True) as connection:
            bootstrap.bootstrap(connection)
            loader.load_agent_runs(connection, files, UNDATED_AS)

        def worked() -> float:
            time.sleep(2)  # a session tells its time when it ends
            row = admin.execute(
                "select active_time / 1000 from pg_stat_database where datname = 'bench_real_runs'"
            ).fetchone()
            return float(row[0]) if row else 0.0

        builds = {}
        for name in ("first", "nothing changed"):
            before = worked()
            wall = _seconds(lambda: build_marts(url))
            in_sql = worked() - before
            builds[name] = {"seconds": round(wall, 1), "of them in SQL": round(in_sql, 1)}
    return builds


def _figures(measured: dict[int, dict[str, Any]]) -> list[Figure]:
    """Put what was measured beside the bars; those of the issue are for ten million spans."""
    figures = []

    def at_most(
        name: str, value: float, bar: float, unit: str = "", *, counts: bool = True
    ) -> None:
        figures.append(
            Figure(
                name, value, unit, f"≤ {bar:g}" if counts else "", value <= bar if counts else None
            )
        )

    def median(size: int, name: str) -> float:
        return float(measured[size][name]["all"]["median"])

    for size, of_size in measured.items():
        at, is_big = f", {size:,} spans", size >= MANY
        figures.append(Figure("load" + at, of_size["load_seconds"], "s"))
        figures.append(Figure("full build" + at, median(size, "full_build"), "s"))
        figures.append(Figure("refresh after a day" + at, median(size, "day"), "s"))
        at_most(
            "refresh after a day / full build" + at,
            median(size, "day") / median(size, "full_build"),
            round(1 / 60, 4),
            counts=is_big,
        )
        day = of_size["day"]
        at_most(
            "models by day / their queries written out by hand" + at,
            day["all_of_rendered_by_hand"],
            1.3,
        )
        at_most(
            "cost_daily / the same by hand from raw spans" + at,
            day["cost_daily_of_hand"]["median"],
            1.3,
        )
        figures.append(
            Figure(
                "… with all models that it stands on" + at,
                day["costs_from_raw_rows_of_hand"]["median"],
            )
        )
        at_most("refresh with nothing changed" + at, 1000 * median(size, "idle"), 50, "ms")
        at_most("COPY with change capture / without" + at, of_size["copy"]["median"], 1.1)
        for name, read in of_size["reads"].items():
            marts = read["marts"]
            at_most(f"{name}: p95 on marts" + at, 1000 * marts["p95"], 10, "ms", counts=is_big)
            at_most(
                f"{name}: marts / raw spans" + at,
                marts["median"] / read["raw"]["median"],
                0.01,
                counts=is_big,
            )
            if "duckdb" in read:
                at_most(
                    f"{name}: marts / DuckDB on Parquet" + at,
                    marts["median"] / read["duckdb"]["median"],
                    1,
                    counts=is_big,
                )
        figures.append(
            Figure("memory of a refresh after a day" + at, day["memory_mb"]["max"], "MB")
        )
    if FEW in measured and MANY in measured:
        at_most(
            f"refresh after {FEW // DAYS:,} new spans, 10 M / 1 M",
            median(MANY, "same_rows") / median(FEW, "same_rows"),
            1.2,
        )
        at_most(
            f"memory of a refresh after {FEW // DAYS:,} new spans, 10 M / 1 M",
            measured[MANY]["same_rows"]["memory_mb"]["max"]
            / measured[FEW]["same_rows"]["memory_mb"]["max"],
            1.2,
        )
    return figures


def _report(figures: list[Figure]) -> Table:
    table = Table()
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("bar", justify="right")
    table.add_column("")
    for figure in figures:
        verdict = {True: "met", False: "missed", None: ""}[figure.is_met]
        value = f"{figure.value:.4g} {figure.unit}".strip()
        table.add_row(figure.name, value, figure.bar, verdict)
    return table


def _of_all(refreshes: list[tuple[Seconds, float]]) -> dict[str, Any]:
    """Give the spread of whole refreshes, of each statement in them, and of their memory."""
    seconds = [each for each, _ in refreshes]
    return {
        "all": _spread([sum(each.values()) for each in seconds]),
        "each": {name: _spread([each[name] for each in seconds]) for name in seconds[0]},
        "memory_mb": _spread([memory for _, memory in refreshes]),
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _spread(values: list[float]) -> Spread:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _say(size: int, what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {size:,} spans: {what}", flush=True)


if __name__ == "__main__":
    main()
