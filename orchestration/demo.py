"""The whole way once, with progress for a person who watches: what `make demo` runs."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from orchestration import (
    bootstrap,
    database,
    dbt,
    loader,
    report,
    server,
    simulate,
    simulated_traffic,
    simulated_truth,
)
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    import psycopg
    from rich.progress import TaskID

console = Console(width=None if sys.stdout.isatty() else 110)


def run(paths: Sequence[Path], undated_as: date | None = None) -> None:
    """Start the server, bootstrap, load, build the marts and print them.

    Args:
        paths: Files of agent runs; without any, simulated ones are made and loaded.
        undated_as: The day taken for runs without any start time.
    """
    if database.is_embedded():
        running = server.up()
        console.print(f"PostgreSQL runs on port {running.port}.")
    with database.connect(autocommit=True) as connection:
        applied = bootstrap.bootstrap(connection)
        console.print(f"Raw schemas: {len(applied)} changes applied, all up to date.")
        if paths:
            load(connection, paths, undated_as)
        else:
            with tempfile.TemporaryDirectory() as folder:
                simulated = Path(folder) / "simulated_runs.ndjson.gz"
                simulate_to(simulated)
                load(connection, [simulated])
        build()
        console.print()
        report.print_report(connection, console)
    _print_next_steps()


@contextmanager
def parts_done() -> Iterator[Callable[[str, int, int], None]]:
    """Show on the terminal how far a long work is: the function takes a name, the parts done, and all."""
    shown = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, disable=not shown.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name)
            progress.update(tasks[name], completed=done, total=total)

        yield show


def load(
    connection: psycopg.Connection, paths: Sequence[Path], undated_as: date | None = None
) -> loader.LoadSummary:
    """Load files of agent runs and say what became of them."""
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise AgentbooksError(f"load: there is no file {missing}; check the name.")
    total = sum(path.stat().st_size for path in paths)
    with Progress(
        TextColumn("Loading"), BarColumn(), DownloadColumn(), TimeElapsedColumn(), console=console
    ) as progress:
        task = progress.add_task("load", total=total)
        summary = loader.load_agent_runs(
            connection, paths, undated_as, lambda size: progress.advance(task, size)
        )
    for reason, count in summary.reasons.most_common(5):
        console.print(f"{count:,} rejected: {reason}", markup=False)
    if summary.naive_times:
        console.print(f"{summary.naive_times:,} runs had times without a zone: read as UTC.")
    if summary.undated:
        console.print(f"{summary.undated:,} runs had no start time: taken as of {undated_as}.")
    console.print(summary.sentence(), markup=False)
    return summary


def simulate_to(path: Path, days: int = 28, runs_per_day: int = 60, seed: int = 1) -> None:
    """Write simulated runs with a progress bar."""
    with Progress(
        TextColumn("Simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("simulate", total=None)
        summary = simulate.write(
            path,
            days=days,
            runs_per_day=runs_per_day,
            seed=seed,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(f"{summary.runs:,} runs of {days} days written to {path}.", markup=False)


def simulate_into(
    connection: psycopg.Connection[Any], truth: Path, days: int, runs_per_day: int, seed: int
) -> None:
    """Write simulated traffic into the raw tables with a progress bar, then the true answers."""
    traffic = simulated_traffic.simulate_traffic(days, runs_per_day, seed)
    with Progress(
        TextColumn("Writing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("write", total=len(traffic.writes))
        for _, writes in traffic.batches():
            simulated_traffic.write(connection, writes)
            progress.advance(task, len(writes))
    simulated_truth.write(truth, traffic)
    console.print(
        f"{len(traffic.runs):,} runs of {days} days written; the true answers are in {truth}.",
        markup=False,
    )


def build() -> None:
    """Build the marts with a progress bar."""
    with Progress(
        SpinnerColumn(),
        TextColumn("Building"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("build", total=None)
        counts = dbt.build(
            progress=lambda _, done, total: progress.update(task, completed=done, total=total)
        )
    tests = counts.get("pass", 0)
    console.print(f"Marts built: {sum(counts.values()) - tests} relations, {tests} tests passed.")


def _print_next_steps() -> None:
    console.print("Where to look next:", style="bold")
    console.print("  make dev        Dagster: the asset graph, a job, an hourly schedule")
    console.print("  make docs       every model, column and test on one page")
    console.print(f"  {database.database_url()}", markup=False, soft_wrap=True)
    console.print("                  for psql or a BI tool: read the schema marts")
