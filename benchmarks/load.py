"""How long loading takes against COPY of the same rows, prepared beforehand.

Both write into the same tables of fresh databases on the embedded server, in turn; printed are the
medians of the pairs and their ratio. AGENTBOOKS_RUNS names a folder of files to load instead of
simulated ones.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

import psycopg

from orchestration import bootstrap, loader, server, simulate
from orchestration.agent_run import COLUMNS, parse, rows_of

PAIRS = 5
UNDATED_AS = date(2025, 12, 15)


def main() -> None:
    """Measure and print."""
    running = server.up()
    with tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder))
        loads, copies = [], []
        for _ in range(PAIRS):
            loads.append(_timed(running.dsn, files, _load))
            copies.append(_timed(running.dsn, files, _copy_prepared))
    ratios = [load / copy for load, copy in zip(loads, copies, strict=True)]
    figures = {
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "load_seconds": _spread(loads),
        "copy_seconds": _spread(copies),
        "ratio": _spread(ratios),
    }
    print(json.dumps(figures, indent=2))
    print(f"load / prepared COPY: {statistics.median(ratios):.2f} (bar: 2.00)")


def _files(folder: Path) -> list[Path]:
    runs = os.environ.get("AGENTBOOKS_RUNS")
    if runs:
        return sorted(Path(runs).glob("runs_*.ndjson.gz"))
    path = folder / "simulated.ndjson.gz"
    simulate.write(path, days=60, runs_per_day=200)
    return [path]


def _timed(dsn: str, files: list[Path], work: object) -> float:
    """Time a piece of work in a fresh database, its preparation and bootstrap aside."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("drop database if exists agentbooks_bench with (force)")
        admin.execute("create database agentbooks_bench template template0")
        try:
            url = dsn.rsplit("/", 1)[0] + "/agentbooks_bench"
            with psycopg.connect(url, autocommit=True) as connection:
                bootstrap.bootstrap(connection)
                return work(connection, files)  # type: ignore[no-any-return, operator]
        finally:
            admin.execute("drop database if exists agentbooks_bench with (force)")


def _load(connection: psycopg.Connection, files: list[Path]) -> float:
    started = time.perf_counter()
    loader.load_agent_runs(connection, files, UNDATED_AS)
    return time.perf_counter() - started


def _copy_prepared(connection: psycopg.Connection, files: list[Path]) -> float:
    """Copy rows that are already text, in one COPY a table."""
    tables: dict[str, list[tuple[object, ...]]] = {table: [] for table in COLUMNS}
    for path in files:
        for record in loader.read_records(path, lambda _: None):
            for table, rows in rows_of(parse(record.line or b""), UNDATED_AS).rows.items():
                tables[table] += rows
    for table, key in loader.SHARED.items():
        place = COLUMNS[table].index(key)
        tables[table] = list({row[place]: row for row in tables[table]}.values())
    buffers: dict[str, bytes] = {}
    for table, rows in tables.items():
        if table in loader.PARTITIONED:
            loader._ensure_partitions(connection, table, loader.PARTITIONED[table], rows)
        buffers[table] = _as_text(connection, table, rows)
    started = time.perf_counter()
    with connection.transaction():
        for table, buffer in buffers.items():
            columns = ", ".join(f'"{column}"' for column in COLUMNS[table])
            with connection.cursor().copy(f"copy {table} ({columns}) from stdin".encode()) as copy:
                copy.write(buffer)
    return time.perf_counter() - started


def _as_text(connection: psycopg.Connection, table: str, rows: list[tuple[object, ...]]) -> bytes:
    """Write rows in COPY's text format, by way of a temporary table."""
    columns = ", ".join(f'"{column}"' for column in COLUMNS[table])
    connection.execute(f"create temporary table prepared as select {columns} from {table}".encode())
    with connection.cursor().copy(b"copy prepared from stdin") as copy:
        for row in rows:
            copy.write_row(row)
    with connection.cursor().copy(b"copy prepared to stdout") as copy:
        buffer = b"".join(bytes(block) for block in copy)
    connection.execute("drop table prepared")
    return buffer


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


if __name__ == "__main__":
    main()
