"""Runs `agentbooks` in processes that stop where a test wants: before a step, to be killed there.

A step is a round trip to the database, or a file of the archive that is opened, renamed or removed. This
process imports what they need, and makes one for each test that calls at the socket which it is given.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing.connection import Listener
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import psycopg

from orchestration import (  # noqa: F401
    backfill,
    chat_migration,
    cli,
    cold_archive,
    database,
    demo,
    growth,
    protection,
    retention,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ON_FILES = ("open", "os.rename", "os.remove", "os.mkdir", "shutil.copyfile", "shutil.move")


def run(pipe: Connection, command: list[str], environment: dict[str, str], stop_at: str) -> None:
    """Run a command, stop before that step until a word comes in; tell the steps and what was printed."""
    os.environ |= environment
    sys.argv = ["agentbooks", *command]
    steps: list[str] = []
    named: Counter[str] = Counter()
    wait = psycopg.Connection.wait
    last = table = ""

    def step(name: str) -> None:
        nonlocal last
        if name == last:  # the next row of the same copy
            return
        last = name
        name = f"{table}: {name}"
        named[name] += 1
        steps.append(f"{name} ({named[name]})")
        if steps[-1] == stop_at:
            pipe.send(steps)
            pipe.recv()

    def on_file(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ON_FILES and ".parquet" in str(arguments[0]):
            # Without the checksum of a file that took the place of another.
            name = re.sub(r"\.[0-9a-f]{12}(?=\.parquet)", "", str(arguments[0]).rpartition("/")[2])
            step(f"{event} {name}")

    def wait_as_step(
        connection: psycopg.Connection, trip: GeneratorType[Any, Any, Any], *more: Any
    ) -> Any:
        nonlocal table
        known = trip.gi_frame.f_locals if trip.gi_frame else {}
        query, parameters = known.get("query", ""), known.get("params")
        if isinstance(parameters, tuple) and "." in str(parameters[0]):
            table = str(parameters[0])
        words = query.as_string() if isinstance(query, psycopg.sql.Composable) else str(query)
        step(" ".join([trip.__name__.strip("_"), *words.split()])[:70])
        return wait(connection, trip, *more)

    psycopg.Connection.wait = wait_as_step  # type: ignore[assignment, method-assign]
    sys.addaudithook(on_file)
    # Small pieces, so that there are several of each.
    retention.BATCH, cold_archive.BLOCK, cold_archive.ROWS = 40, 20_000, 16
    backfill.BATCH, growth.BLOCKS = 40, 4
    chat_migration.BLOCKS, chat_migration.BATCH = 2, 40
    protection.BATCH, protection.BLOCKS = 20, 4
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), suppress(SystemExit):
        cli.main()
    pipe.send((steps, printed.getvalue()))


def main() -> None:
    """Make a process for each caller."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Listener(sys.argv[1], "AF_UNIX") as listener:
        print("ready", flush=True)
        while True:
            with listener.accept() as pipe:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    pipe.send(os.getpid())
                    run(pipe, *pipe.recv())
                    os._exit(0)


if __name__ == "__main__":
    main()
