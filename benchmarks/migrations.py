"""How fast columns are filled and a table becomes partitioned beside eight writers, and how long these wait.

`python -m benchmarks.migrations` makes spans of the framework as they were before 110 and costs in one piece,
in a database of the embedded server, or of the one that AGENTBOOKS_DATABASE_URL names. A lock's wait is read
from the server every few milliseconds; what a statement took is the writer's own measure, and has waits for
the processor in it.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from benchmarks.beside import lock_waits, writers
from benchmarks.writes import _fresh_database
from orchestration import backfill, bootstrap, database, growth

if TYPE_CHECKING:
    from random import Random

    import psycopg

ROWS = 1_000_000
PAUSE = 0.02
COSTS = "observability.cost_records"
CHUNK = 500_000

TRACES = """
insert into raaf.raaf_tracing_traces (trace_id, started_at)
select 'trace_' || i, timestamptz '2026-01-01 00:00+00' + interval '90 days' * (i / %(traces)s::float8)
from generate_series(%(first)s::int, %(last)s::int) as i
"""
SPANS = """
insert into raaf.raaf_tracing_spans (trace_id, span_id, name, kind, start_time, span_attributes)
select
    t.trace_id, t.trace_id || '_' || n, 'step ' || n, case n when 1 then 'agent' else 'llm' end,
    t.started_at + n * interval '1 second',
    case n
        when 1 then jsonb_build_object(
            'agent.name', 'agent ' || right(t.trace_id, 1),
            'agent.initial_user_prompt', repeat('what was asked ', 10),
            'agent.conversation_messages', '[{"role": "user", "content": "what was asked"}]'
        )
        else jsonb_build_object('llm', jsonb_build_object('model', 'm'))
    end
from raaf.raaf_tracing_traces as t
cross join generate_series(1, 5) as n
where t.trace_id = any(
    array(select 'trace_' || i from generate_series(%(first)s::int, %(last)s::int) as i)
)
"""
OLD_COSTS = """
insert into observability.cost_records (
    id, execution_id, node_id, node_type, cost, category, created_at, tokens_used
)
select
    gen_random_uuid(), 'e' || i / 5, 'node ' || i %% 5, 'llm', 0.001 * (i %% 1000), 'llm',
    timestamptz '2025-01-01 00:00+00' + interval '540 days' * (i / %(rows)s::float8),
    '{"input": 100, "output": 10}'
from generate_series(%(first)s::int, %(last)s::int) as i
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--only", choices=["raaf", "growth"])
    arguments = parser.parse_args()
    for name, measure in (("raaf", _fill), ("growth", _grow)):
        if arguments.only in (None, name):
            with _fresh_database(database.database_url(), f"migrations_{name}") as connection:
                url = f"{connection.info.dsn} password='{connection.info.password}'"
                measure(connection, url, arguments.rows)


def _fill(connection: psycopg.Connection, url: str, rows: int) -> None:
    bootstrap.revert(connection, "100_raaf_traces")
    connection.execute(
        "select ops.create_month_partitions('raaf.raaf_tracing_spans', '2026-01-01', '2026-03-31')"
    )
    for first in range(1, rows // 5 + 1, CHUNK // 5):
        last = min(first + CHUNK // 5 - 1, rows // 5)
        connection.execute(TRACES, {"traces": rows // 5, "first": first, "last": last})
        connection.execute(SPANS, {"first": first, "last": last})
    connection.execute("analyze raaf.raaf_tracing_spans, raaf.raaf_tracing_traces")
    started = time.perf_counter()
    bootstrap.bootstrap(connection)
    print(f"bootstrap on {rows:,} spans: {time.perf_counter() - started:.1f} s", flush=True)
    with writers(url, _write_spans, PAUSE) as took, lock_waits(url) as waits:
        started = time.perf_counter()
        summary = backfill.raaf(connection)
        seconds = time.perf_counter() - started
    print(f"RAAF: {summary.sentence()}")
    _print("filled", summary.seen, seconds, took, waits)


def _grow(connection: psycopg.Connection, url: str, rows: int) -> None:
    for first in range(1, rows + 1, CHUNK):
        connection.execute(
            OLD_COSTS, {"rows": rows, "first": first, "last": min(first + CHUNK - 1, rows)}
        )
    connection.execute("vacuum analyze observability.cost_records")
    print(f"{rows:,} costs are there", flush=True)
    steps: dict[str, float] = {}
    last = time.perf_counter()

    def tell(progress: growth.Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        steps[progress.state] = steps.get(progress.state, 0) + now - last
        last = now

    with writers(url, _write_costs, PAUSE) as took, lock_waits(url) as waits:
        started = time.perf_counter()
        growth.partition(connection, COSTS, tell=tell)
        seconds = time.perf_counter() - started
    print(" ".join(f"{state}: {spent:.0f} s" for state, spent in steps.items()))
    _print("partitioned", rows, seconds, took, waits)
    with writers(url, _write_costs, PAUSE) as took, lock_waits(url) as waits:
        started = time.perf_counter()
        growth.undo(connection, COSTS)
        print(f"back: {time.perf_counter() - started:.1f} s, longest wait {max(waits):.0f} ms")


def _print(what: str, rows: int, seconds: float, took: list[float], waits: list[float]) -> None:
    print(
        f"{rows:,} rows {what} in {seconds:.0f} s: {rows / seconds:,.0f} rows/s (bar 20,000); beside them "
        f"{len(took):,} writes, longest {max(took):.0f} ms, of it waiting for a lock {max(waits):.0f} ms "
        "(bar 500)",
        flush=True,
    )


def _write_costs(session: psycopg.Connection, number: int, draw: Random) -> None:
    row = session.execute(
        "insert into observability.cost_records (execution_id, node_id, node_type, cost, category)"
        " values (%s, 'n', 'llm', 0.5, 'llm') returning id",
        (str(draw.random()),),
    ).fetchone()
    session.execute("update observability.cost_records set cost = 0.6 where id = %s", row)


def _write_spans(session: psycopg.Connection, number: int, draw: Random) -> None:
    trace = f"trace_{draw.randrange(1, 1000)}"
    session.execute(
        "update raaf.raaf_tracing_spans set status = 'error' where span_id = %s", (f"{trace}_1",)
    )
    session.execute(
        "insert into raaf.raaf_tracing_spans (trace_id, span_id, name, kind, agent_name)"
        " values (%s, %s, 'step', 'agent', 'new')",
        (trace, str(draw.random())),
    )


if __name__ == "__main__":
    main()
