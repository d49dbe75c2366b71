"""What the tests of migrations share: writers who know what they wrote, and a command that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Client
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
from conftest import ROOT
from test_lifecycle_faults import Job

from benchmarks.beside import lock_waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WRITERS = 8
KILLS = int(os.environ.get("AGENTBOOKS_FAULTS", "8"))

Write = tuple[str, tuple[Any, ...]]


@dataclass
class Stepwise:
    """Starts commands that stand before a step: see tests/stepwise.py."""

    socket: str

    def start(self, command: tuple[str, ...], url: str, stop_at: str = "") -> Job:
        """Start a command on a database."""
        pipe = Client(self.socket)
        job = Job(pipe.recv(), command, pipe)
        pipe.send((command, {"AGENTBOOKS_DATABASE_URL": url}, stop_at))
        return job


@contextmanager
def stepwise(folder: Path) -> Iterator[Stepwise]:
    """Have the process at hand that starts them."""
    socket = str(folder / "socket")
    jobs = subprocess.Popen(
        [sys.executable, "tests/stepwise.py", socket],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert jobs.stdout
    jobs.stdout.readline()
    try:
        yield Stepwise(socket)
    finally:
        jobs.kill()
        jobs.communicate()


@dataclass
class Writers:
    """Sessions that write, and fail if a row of theirs is not where they left it.

    Attributes:
        url: The database.
        draw_write: Gives a writer's next statement with its parameters; told the writer's number and chance.
        role: As whom they write.
        longest: The longest wait of one of them for a lock, in ms, as the server has it.
        done: How many statements they have run.
    """

    url: str
    draw_write: Callable[[int, Random], Write]
    role: str = "none"
    longest: float = 0.0
    done: int = 0
    failures: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    pause: float = 0.005

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let them write for the block."""
        self.is_over.clear()
        threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        try:
            with lock_waits(self.url) as waits:
                yield
            self.longest = max(self.longest, *waits)
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join()
        assert not self.failures, self.failures[:3]

    def _write(self, number: int) -> None:
        draw = Random(f"{number} {self.done}")  # noqa: S311  (it should repeat)
        try:
            with psycopg.connect(self.url, autocommit=True, application_name="writer") as session:
                session.execute(f"set role {self.role}".encode())
                while not self.is_over.is_set():
                    statement, parameters = self.draw_write(number, draw)
                    rows = session.execute(statement.encode(), parameters).rowcount
                    self.done += 1
                    if rows != 1:
                        self.failures.append(f"{rows} rows: {statement} {parameters}")
                    time.sleep(draw.random() * self.pause)
        except psycopg.Error as error:
            self.failures.append(str(error))


def kill_at_random(job: Job, url: str, draw: Random) -> bool:
    """Kill a job before its step, a moment later, or its session; tell whether it was still at work."""
    if not job.has_stopped():
        return False
    match draw.randrange(3):
        case 0:
            job.kill()
        case 1:
            job.go_on()
            time.sleep(draw.random() * 0.05)
            is_over = job.pipe.poll()
            job.kill()
            return not is_over
        case _:
            job.go_on()
            time.sleep(draw.random() * 0.05)
            with psycopg.connect(url, autocommit=True) as connection:
                found = connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and application_name = 'agentbooks'"
                ).fetchall()
            job.end()
            return bool(found)
    return True
