"""What a change of prices costs: against computing all costs anew.

`python -m benchmarks.restate` starts an embedded server of its own in a temporary folder and makes 90 days
of calls of a hundred models in it, ten million of them unless `--calls` says otherwise. Then one model's
prices change: an edition that says the whole list was wrong, which touches one call in a hundred. Its
refresh is compared with computing the costs of all calls anew, and with computing all restated costs anew
from the tokens that are kept; the tables must be the same afterwards. Times are the database's, as in
`benchmarks.refresh`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console

from benchmarks.reads import start_server
from orchestration import bootstrap, dbt, prices, server
from tests.refreshing import Refresher

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULTS = Path(__file__).resolve().parent / "results" / "restate.json"
DAYS = 90
FIRST_DAY = date(2026, 1, 1)
CHANGES = 5
BAR = 20
# What stands between the raw calls and their restated costs; other tables follow from other things.
PRICES = (
    "intermediate.int_prices__editions",
    "intermediate.int_prices__combined",
    "intermediate.int_prices__in_force",
    "intermediate.int_models__matched",
)
BILLED = (
    "intermediate.int_runs__daily_activity",
    "marts.agent_runs",
    "marts.cost_daily",
    "intermediate.int_costs__banded",
)
RESTATED = ("marts.cost_restated_daily", "marts.cost_restatements")
COSTS = (*PRICES, *BILLED, *RESTATED)

MODELS = 100
# Runs of ten calls, of one model each; half of the calls report a cost.
DAY = """
insert into observability.traces (
    trace_id, workflow_id, execution_id, started_at, status, metadata, user_id
)
select
    md5('trace' || r)::uuid, 'workflow-' || r %% 7, 'run-' || r,
    %(day)s::timestamp at time zone 'UTC' + r %% 80000 * interval '1 second', 'completed',
    jsonb_build_object('agent', jsonb_build_object('name', 'agent-' || r %% 12)), null
from generate_series(%(first)s::bigint, %(last)s::bigint) as r;

insert into observability.spans (
    trace_id, span_id, span_type, name, status, started_at, model, tokens, cost
)
select
    md5('trace' || r)::uuid, md5('span' || r || '/' || c)::uuid, 'llm', 'call', 'completed',
    %(day)s::timestamp at time zone 'UTC' + (r %% 80000 + c) * interval '1 second',
    m.provider || '/' || m.model,
    jsonb_build_object(
        'prompt_tokens', 500 + (r * 31 + c) %% 20000, 'completion_tokens', (r + c * 7) %% 900,
        'prompt_tokens_details', jsonb_build_object('cached_tokens', (r %% 4) * 120)
    ),
    case when c %% 2 = 0 then 0.01 end
from generate_series(%(first)s::bigint, %(last)s::bigint) as r
cross join generate_series(1, 10) as c
inner join bench.models as m on r %% 100 = m.number;
"""
CHANGE = """
insert into seeds.model_prices
select
    p.provider, p.model, p.component, p.valid_from, p.valid_to, p.time_from_utc, p.time_to_utc,
    p.tier_above_input_tokens, p.usd_per_million * %(factor)s, p.source, %(known_from)s, 'bench'
from seeds.model_prices as p
inner join bench.models as m on p.provider = m.provider and p.model = m.model
where m.number = 50 and p.known_from is null
"""


def main() -> None:
    """Measure, print and write; end with 1 if the bar is missed or a table differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restate", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # If root starts the server, another user has to pass through.
        Path(folder).chmod(0o755)
        os.environ[server.HOME_VARIABLE] = str(Path(folder) / "home")
        try:
            figures = _measure(start_server(), arguments.calls)
        finally:
            server.down()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(json.dumps(figures, indent=2) + "\n")
    Console().print(figures)
    raise SystemExit(figures["all_costs_anew_of_change"] < BAR or figures["rows_differing"] > 0)


def _measure(dsn: str, calls: int) -> dict[str, float]:
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("create database bench_restate")
    url = f"{dsn.rpartition('/')[0]}/bench_restate"
    with psycopg.connect(url, autocommit=True) as connection:
        bootstrap.bootstrap(connection)
        refresher = Refresher.build(url, _build)
        _load(connection, calls)
        refresher.refresh(connection, is_full=True)
        connection.execute("vacuum analyze")

        changes = []
        for number in range(CHANGES):
            # After the last call: what was billed stays, all of the model's calls are restated.
            values = {
                "factor": 2 if number % 2 == 0 else 3,
                "known_from": FIRST_DAY + timedelta(days=DAYS + 1 + number),
            }
            connection.execute(CHANGE.encode(), values)
            changes.append(_seconds(connection, refresher))
        (touched,) = connection.execute(
            "select sum(calls_restated) from marts.cost_restated_daily"
            " where model = (select model from bench.models where number = 50)"
        ).fetchone() or (0,)

        for table in COSTS:
            copy = f"bench.{table.partition('.')[2]}"
            connection.execute(f"create table {copy} as select * from {table}".encode())
        anew = {table: _full(connection, refresher, [table]) for table in COSTS}
        differing = sum(_differing(connection, table) for table in COSTS)
    change = statistics.median(changes)
    return {
        "calls": calls,
        "calls_touched": int(touched),
        "change_seconds": change,
        "change_seconds_min": min(changes),
        "change_seconds_max": max(changes),
        "all_costs_anew_seconds": sum(anew.values()),
        "all_costs_anew_of_change": sum(anew.values()) / change,
        "all_restated_anew_seconds": sum(anew[table] for table in RESTATED),
        "all_restated_anew_of_change": sum(anew[table] for table in RESTATED) / change,
        "rows_differing": differing,
    }


def _build(url: str, select: list[str] | None = None) -> None:
    os.environ["AGENTBOOKS_DATABASE_URL"] = url
    try:
        dbt.build(select)
    finally:
        del os.environ["AGENTBOOKS_DATABASE_URL"]


def _load(connection: psycopg.Connection, calls: int) -> None:
    # Each leads to itself by its name.
    rules = prices.read_rules()
    models = [
        (provider, model)
        for provider, model in sorted(prices.newest_editions(prices.read_prices()))
        if prices.resolve(f"{provider}/{model}", rules) == (provider, model)
    ]
    connection.execute(
        "create schema bench; create table bench.models (number int, provider text, model text)"
    )
    for number, model in enumerate(models[:: len(models) // MODELS][:MODELS]):
        connection.execute("insert into bench.models values (%s, %s, %s)", (number, *model))
    connection.execute(
        "select ops.create_month_partitions('observability.spans', %s, %s)",
        (FIRST_DAY, FIRST_DAY + timedelta(days=DAYS)),
    )
    # Keys to other tables are checked row by row, which is no matter of costs.
    connection.execute("set session_replication_role = replica")
    runs = calls // DAYS // 10
    cursor = psycopg.ClientCursor(connection)
    for day in range(DAYS):
        values = {
            "day": FIRST_DAY + timedelta(days=day),
            "first": day * runs + 1,
            "last": (day + 1) * runs,
        }
        cursor.execute(DAY.encode(), values)
    connection.execute("vacuum analyze")


def _seconds(connection: psycopg.Connection, refresher: Refresher) -> float:
    """Refresh everything, as a run does."""
    started = time.perf_counter()
    refresher.refresh(connection)
    return time.perf_counter() - started


def _full(connection: psycopg.Connection, refresher: Refresher, tables: Iterable[str]) -> float:
    started = time.perf_counter()
    for table in tables:
        refresher.run(connection, table, refresher.statements[table], is_full=True)
    return time.perf_counter() - started


def _differing(connection: psycopg.Connection, table: str) -> int:
    copy = f"bench.{table.partition('.')[2]}"
    (differing,) = connection.execute(
        f"select count(*) from ((select * from {table} except all select * from {copy})"
        f" union all (select * from {copy} except all select * from {table})) as d".encode()
    ).fetchone() or (0,)
    return int(differing)


if __name__ == "__main__":
    main()
