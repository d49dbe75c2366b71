"""What moving rows to the archive and to files costs, and what writers notice of it.

`python -m benchmarks.archive` makes three months of traces with ten spans each in a database of the
embedded server, or of the one that AGENTBOOKS_DATABASE_URL names. One month goes by archive_month beside
writers, the others by the documents' `delete … returning` into a copy; then traces move row by row beside
writers, once where the scheduler puts them and once with a processor of their own, and writers are
listened to beside sessions as busy with something else; then the first month goes to a file and comes
back. AGENTBOOKS_RUNS names a folder of real runs, by whose text the files are compared in size. Ratios
are within the run.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import tempfile
import time
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.beside import locked, p99, writers
from benchmarks.load import UNDATED_AS
from benchmarks.writes import _fresh_database
from orchestration import cold_archive, database, loader, retention

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from random import Random

SPANS = 1_000_000
WRITERS = 4
PAUSE = 0.01
LISTENING = 10.0
ROUNDS = 3
TABLE = "observability.spans"
JANUARY = date(2026, 1, 1)

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
    where started_at >= '{month}-01+00' and started_at < '{month}-01+00'::timestamptz + interval '1 month'
    returning *
)
insert into bench_spans select * from moved
"""
COMPUTE = "select count(*) from generate_series(1, 300000)"
COMPUTE_BRIEFLY = "select count(*) from generate_series(1, 100000)"  # 10 ms or so
WRITE_BYTES = "insert into bench_bytes select repeat('x', 900) from generate_series(1, 1000)"
DEAD_ROWS = """
select coalesce(sum(pg_stat_get_dead_tuples(t.relid)), 0)
from pg_partition_tree('observability.spans') as t
"""
MONTHLY = """
select
    ops.relation_name(i.inhparent), to_date(right(c.relname, 7), 'YYYY"m"MM'), pg_total_relation_size(c.oid)
from pg_inherits as i
join pg_class as c on i.inhrelid = c.oid
join ops.captured_tables as t on ops.relation_name(i.inhparent) = t.table_name
where c.relname ~ '_y[0-9]{4}m[0-9]{2}$' and pg_relation_size(c.oid) > 1 << 20
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=SPANS)
    spans = parser.parse_args().spans
    with _fresh_database(database.database_url()) as connection:
        _load(connection, spans)
        url = f"{connection.info.dsn} password='{connection.info.password}'"
        _measure(connection, url, spans)
    # By themselves: made rows repeat the same text.
    if os.environ.get("AGENTBOOKS_RUNS"):
        with _fresh_database(database.database_url()) as connection:
            _compare_sizes(connection)


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
    with writers(url, _write, PAUSE, WRITERS) as quiet:
        time.sleep(LISTENING)
    print(f"writers alone: p99 {p99(quiet):.1f} ms, longest {max(quiet):.1f} ms")

    month = f"('{TABLE}', '{JANUARY}')"
    by_detach, held = [], []
    dead_rows = _one(connection, DEAD_ROWS)
    beside: list[float] = []
    for turn in range(ROUNDS):
        if turn:
            _seconds(connection, f"select ops.unarchive_month{month}")
        with writers(url, _write, PAUSE, WRITERS) as heard:
            time.sleep(LISTENING / 5)
            with locked(url, TABLE) as times:
                by_detach.append(_seconds(connection, f"select ops.archive_month{month}"))
            held += times
            time.sleep(LISTENING / 5)
        beside += heard
    detach = statistics.median(by_detach)
    left = _one(connection, DEAD_ROWS) - dead_rows
    print(
        f"{spans:,} spans by detach: {1000 * detach:.0f} ms, with the tries that gave way to writers; the "
        f"table locked for {max(held):.0f} ms at most (bar 100); {left} dead rows (bar 0); "
        f"writers' p99 {p99(beside) / p99(quiet):.1f} times as long as alone (bar 2), "
        f"longest {max(beside):.1f} ms"
    )
    deleting = [BY_DELETE.replace("{month}", other) for other in ("2026-02", "2026-03")]
    by_delete = statistics.median(_seconds(connection, delete) for delete in deleting)
    print(f"by delete … returning: {by_delete:.1f} s; ratio 1/{by_delete / detach:.0f} (bar 1/100)")

    # Or autovacuum comes for what the deletes have left, and is measured with the rest.
    connection.execute("vacuum analyze")
    _move_rows(connection, url, p99(quiet))
    _move_to_files(connection, spans, by_delete)


def _move_rows(connection: psycopg.Connection, url: str, alone: float) -> None:
    print(_moved(connection, url, alone, "2026-02-01", "beside writers"))
    with _apart(connection) as is_apart:
        if is_apart:
            with writers(url, _write, PAUSE, WRITERS) as quiet:
                time.sleep(LISTENING)
            print(_moved(connection, url, p99(quiet), "2026-03-01", "on a processor of its own"))
    # What the same processors and the same disk give beside anything as busy.
    connection.execute("create table bench_bytes (bytes text)")
    for what, statement, pace in (
        ("only computes", COMPUTE, 0.0),
        ("only computes, a quarter of the time", COMPUTE_BRIEFLY, 0.04),
        ("only writes 25 MB/s", WRITE_BYTES, 0.04),
    ):
        with writers(url, _write, PAUSE, WRITERS) as beside:
            over = time.perf_counter() + LISTENING
            while time.perf_counter() < over:
                took = _seconds(connection, statement)
                time.sleep(max(0.0, pace - took))
        print(
            f"beside a session that {what}: writers' p99 {p99(beside) / alone:.1f} times as long as alone"
        )


def _moved(connection: psycopg.Connection, url: str, alone: float, before: str, where: str) -> str:
    with writers(url, _write, PAUSE, WRITERS) as beside:
        started = time.perf_counter()
        moved = retention.archive_rows(
            connection, "observability.traces", {"clock": "started_at", "before": before}
        )
        seconds = time.perf_counter() - started
    return (
        f"{moved:,} traces row by row {where}: {moved / seconds:,.0f} rows/s (bar 20,000); "
        f"writers' p99 {p99(beside) / alone:.1f} times as long as alone (bar 2)"
    )


@contextmanager
def _apart(connection: psycopg.Connection) -> Iterator[bool]:
    """Give a session the last processor, and the rest of its server and this thread the others.

    Tells whether it could: that takes two processors, and a server of the same machine and user.
    """
    own = connection.info.backend_pid
    *others, last = sorted(os.sched_getaffinity(0))

    def put(process: int, processors: Iterable[int]) -> None:
        with suppress(ProcessLookupError):  # that has ended since
            os.sched_setaffinity(process, processors)

    try:
        postmaster = int(Path(f"/proc/{own}/stat").read_text().rpartition(")")[2].split()[1])
        sessions = connection.execute("select pid from pg_stat_activity").fetchall()
        rest = [0, postmaster, *(process for (process,) in sessions)]
        for process in rest:
            put(process, others)
        put(own, [last])
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        for process in rest:
            put(process, [*others, last])


def _move_to_files(connection: psycopg.Connection, spans: int, by_delete: float) -> None:
    moves, exports, restores, copies = [], [], [], []
    names = cold_archive.Columns.of(connection, TABLE).written
    copied = io.BytesIO()
    rows_sql = _one(connection, "select ops.month_rows(%s, %s)", (TABLE, JANUARY))
    dumping = f"copy (select {', '.join(names)} from ({rows_sql}) as r) to stdout"
    with connection.cursor().copy(dumping.encode()) as copy:
        for row in copy:
            copied.write(row)
    with tempfile.TemporaryDirectory() as folder:
        archive = cold_archive.Archive(folder)
        memory = 0
        for _ in range(ROUNDS):
            exports.append(_export(connection, Path(folder) / "alone.parquet"))
            started = time.perf_counter()
            archived = cold_archive.remove_month(connection, archive, TABLE, JANUARY)
            moves.append(time.perf_counter() - started)
            started = time.perf_counter()
            cold_archive.restore_month(connection, archive, TABLE, JANUARY)
            restores.append(time.perf_counter() - started)
            memory = memory or _memory()
            connection.execute("truncate bench_spans")
            started = time.perf_counter()
            with connection.cursor().copy(
                f"copy bench_spans ({', '.join(names)}) from stdin".encode()
            ) as copy:
                copied.seek(0)
                while block := copied.read(1 << 20):
                    copy.write(block)
            copies.append(time.perf_counter() - started)
        grown = _memory() - memory
    rate = archived.rows / statistics.median(exports)
    move, restore, copy_in = map(statistics.median, (moves, restores, copies))
    print(
        f"{archived.rows:,} spans to Parquet: {rate:,.0f} rows/s (bar 100,000)\n"
        f"to a file, read back, dropped: {move:.1f} s, {move / by_delete:.2f} of delete … returning (bar 1)\n"
        f"restored: {restore:.1f} s, {restore / copy_in:.1f} times COPY (bar 3)\n"
        f"memory: {grown} MB more after {ROUNDS} rounds than after one"
    )


def _export(connection: psycopg.Connection, path: Path) -> float:
    """Time the writing of a file by itself."""
    started = time.perf_counter()
    with connection.transaction():
        rows_sql = _one(connection, "select ops.month_rows(%s, %s)", (TABLE, JANUARY))
        cold_archive.write_rows(
            connection,
            cold_archive.Columns.of(connection, TABLE),
            psycopg.sql.SQL("({}) as r order by started_at").format(psycopg.sql.SQL(rows_sql)),
            path,
            {},
        )
    return time.perf_counter() - started


def _compare_sizes(connection: psycopg.Connection) -> None:
    """Put real runs into files, and compare these with what the rows take in the database."""
    files = sorted(Path(os.environ["AGENTBOOKS_RUNS"]).glob("runs_*.ndjson.gz"))
    loader.load_agent_runs(connection, files, UNDATED_AS)
    connection.execute("select from ops.maintain_partitions()")
    loaded = connection.execute(MONTHLY.encode()).fetchall()
    with tempfile.TemporaryDirectory() as folder:
        archive = cold_archive.Archive(folder)
        written = sum(
            cold_archive.export_month(connection, archive, table, month).size
            for table, month, _ in loaded
        )
    there = sum(size for *_, size in loaded)
    print(
        f"{len(loaded)} months of real runs: {there / 1e6:.0f} MB with their indexes, "
        f"{written / 1e6:.1f} MB as files: {there / written:.1f} times smaller (bar 8)"
    )


def _write(session: psycopg.Connection, number: int, draw: Random) -> None:
    """Write a trace with a span."""
    with session.transaction():
        row = session.execute(
            "insert into observability.traces (workflow_id, execution_id)"
            " values ('w', gen_random_uuid()) returning trace_id"
        ).fetchone()
        session.execute(
            "insert into observability.spans (trace_id, span_type, name) values (%s, 'llm', 's')",
            row,
        )


def _seconds(connection: psycopg.Connection, statement: str) -> float:
    started = time.perf_counter()
    connection.execute(statement.encode())
    return time.perf_counter() - started


def _one(connection: psycopg.Connection, query: str, parameters: tuple[object, ...] = ()) -> Any:
    row = connection.execute(query.encode(), parameters).fetchone()
    return row and row[0]


def _memory() -> int:
    """Return how many MB this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    main()
