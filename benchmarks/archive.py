"""What moving rows to the archive costs, and what writers notice of it.

`python -m benchmarks.archive` makes three months of traces with ten spans each in a database of the
embedded server, or of the one that AGENTBOOKS_DATABASE_URL names. One month goes by archive_month beside
writers, another by the documents' `delete … returning` into a copy; then traces move row by row beside
writers. Ratios are within the run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from benchmarks.writes import _fresh_database
from orchestration import bootstrap, database

if TYPE_CHECKING:
    from collections.abc import Iterator

SPANS = 1_000_000
WRITERS = 4
LISTENING = 10.0

TRACES = """
insert into observability.traces (trace_id, workflow_id, execution_id, started_at, status, query, metadata)
select
    md5(%(month)s || i)::uuid, 'w' || i %% 50, %(month)s || i,
    %(month)s::timestamptz + i * interval '28 days' / %(traces)s, 'completed', repeat('what was asked ', 10),
    '{"domain": "support"}'
from generate_series(1, %(traces)s) as i
"""
STEPS = """
insert into observability.spans (
    trace_id, span_id, span_type, name, status, started_at, duration_ms, inputs, tokens, cost, model
)
select
    t.trace_id, gen_random_uuid(), 'llm', 'step ' || n, 'completed', t.started_at + n * interval '1 second',
    100 * n, jsonb_build_object('text', repeat('prompt ', 20)),
    jsonb_build_object('input_tokens', 100 * n, 'output_tokens', 10 * n, 'total_tokens', 110 * n),
    0.001 * n, 'm'
from observability.traces as t
cross join generate_series(1, 10) as n
where t.started_at >= %(month)s::timestamptz and t.started_at < %(month)s::timestamptz + interval '1 month'
"""
BY_DELETE = """
with moved as (
    delete from observability.spans
    where started_at >= '2026-02-01+00' and started_at < '2026-03-01+00'
    returning *
)
insert into bench_spans select * from moved
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=SPANS)
    spans = parser.parse_args().spans
    with _fresh_database(database.database_url()) as connection:
        bootstrap.bootstrap(connection)
        _load(connection, spans)
        url = f"{connection.info.dsn} password='{connection.info.password}'"
        _measure(connection, url, spans)


def _load(connection: psycopg.Connection, spans: int) -> None:
    for month in ("2026-01-01", "2026-02-01", "2026-03-01"):
        connection.execute(
            "select ops.create_month_partitions('observability.spans', %s, %s)", (month, month)
        )
        connection.execute(TRACES, {"month": month, "traces": spans // 10})
        connection.execute(STEPS, {"month": month})
    connection.execute("create table bench_spans (like observability.spans including all)")
    connection.execute("vacuum analyze")


def _measure(connection: psycopg.Connection, url: str, spans: int) -> None:
    with _writers(url) as quiet:
        time.sleep(LISTENING)
    print(f"writers alone: p99 {_p99(quiet):.1f} ms, longest {max(quiet):.1f} ms")

    with _writers(url) as beside:
        time.sleep(1)
        by_detach = _seconds(
            connection, "select ops.archive_month('observability.spans', '2026-01-01')"
        )
        time.sleep(1)
    print(
        f"{spans:,} spans by detach: {1000 * by_detach:.0f} ms; longest write beside it {max(beside):.1f} ms"
    )

    by_delete = _seconds(connection, BY_DELETE)
    print(
        f"by delete … returning: {by_delete:.1f} s; ratio 1/{by_delete / by_detach:.0f} (bar 1/100)"
    )

    due = json.dumps({"clock": "started_at", "before": "2026-02-01"})
    moved = 0
    with _writers(url) as beside:
        started = time.perf_counter()
        while True:
            row = connection.execute(
                "select ops.archive_rows('observability.traces', %s)", (due,)
            ).fetchone()
            if not row or not row[0]:
                break
            moved += row[0]
        seconds = time.perf_counter() - started
    print(
        f"{moved:,} traces row by row beside writers: {moved / seconds:,.0f} rows/s (bar 20,000); "
        f"writers' p99 {_p99(beside):.1f} ms, {_p99(beside) / _p99(quiet):.1f} times as long as alone (bar 2)"
    )


@contextmanager
def _writers(url: str) -> Iterator[list[float]]:
    """Write traces with a span from several sessions, and list how long each took in ms."""
    took: list[float] = []
    is_over = threading.Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as session:
            while not is_over.is_set():
                started = time.perf_counter()
                with session.transaction():
                    row = session.execute(
                        "insert into observability.traces (workflow_id, execution_id)"
                        " values ('w', gen_random_uuid()) returning trace_id"
                    ).fetchone()
                    session.execute(
                        "insert into observability.spans (trace_id, span_type, name) values (%s, 'llm', 's')",
                        row,
                    )
                took.append(1000 * (time.perf_counter() - started))
                time.sleep(0.01)

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield took
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _seconds(connection: psycopg.Connection, statement: str) -> float:
    started = time.perf_counter()
    connection.execute(statement.encode())
    return time.perf_counter() - started


def _p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


if __name__ == "__main__":
    main()
