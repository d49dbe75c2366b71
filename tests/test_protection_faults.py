"""The encryption dies at any step, beside eight writers; run again, every text is encrypted and none is lost.

`AGENTBOOKS_FAULTS` sets how many faults there are: 40 unless it says otherwise.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.connection import Client
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from conftest import ROOT, _start
from faults import value
from raw_rows import ONE, ROWS, insert
from residue import residue
from test_lifecycle_faults import FAULTS, Job
from test_protection import COLUMN, NEW, TABLE, cell

from orchestration import cold_archive
from orchestration.cold_archive import Archive
from orchestration.encryption import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import TestServer

IN_A_ROW = 8
WRITERS = 8
DECISIONS = 240
MARKER = "geheim"
ENCRYPT = ("encrypt",)
BOTH = Keys.read(NEW, "the test")
BEFORE = Keys("old", BOTH.by_id)
MONTHS = [
    date(2020, month, 1) for month in (1, 2, 3, 4)
]  # two in files, one archived, one in the table


@dataclass
class World:
    """A database and files with texts in clear and with the key before."""

    server: TestServer
    folder: Path
    expected: dict[str, str] = field(default_factory=dict)
    change_ids: dict[str, int] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The database."""
        return self.server.url("faulty")

    @property
    def archive(self) -> Archive:
        """Where the files are."""
        return Archive(str(self.folder / "archive"))

    def reset(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.archive.url, ignore_errors=True)
        shutil.copytree(self.folder / "before", self.archive.url)
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute("drop database if exists faulty with (force)")
            connection.execute("create database faulty template before")

    def start(self, stop_at: str = "", keys: str = NEW) -> Job:
        """Start the command, which stands before that step until it is told to go on."""
        pipe = Client(str(self.folder / "socket"))
        job = Job(pipe.recv(), ENCRYPT, pipe)
        environment = {
            "AGENTBOOKS_DATABASE_URL": self.url,
            "AGENTBOOKS_KEYS": keys,
            cold_archive.URL_VARIABLE: self.archive.url,
        }
        pipe.send((ENCRYPT, environment, stop_at))
        return job

    def check(self, written: dict[str, str], touched: set[str]) -> None:
        """Find every text, encrypted with the current key; nothing else has changed."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = {
                str(decision): (content, change_id)
                for decision, content, change_id in connection.execute(
                    f"select decision_id, {COLUMN}, change_id from history.agentic__agent_decisions".encode()
                )
            }
            for month in MONTHS[:2]:
                for batch in cold_archive.read_month(connection, self.archive, TABLE, month):
                    names = ("decision_id", COLUMN, "change_id")
                    columns = [batch[name].to_pylist() for name in names]
                    found |= {d: (c, i) for d, c, i in zip(*columns, strict=True)}
            assert {content.split(".")[1] for content, _ in found.values()} == {"new"}
            said = {decision: BOTH.decrypt(c, cell(decision)) for decision, (c, _) in found.items()}
            assert said == self.expected | written
            kept = {d: change_id for d, (_, change_id) in found.items() if d not in touched}
            assert kept == {d: i for d, i in self.change_ids.items() if d not in touched}
            assert residue(connection, [MARKER], self.archive.url) == []
            assert value(connection, "select count(*) from ops.loose_files") == 0
            assert value(connection, "select count(*) from ops.lifecycle_transactions") == 0
            known = {url for (url,) in connection.execute("select url from ops.archive_files")}
            assert {str(p) for p in Path(self.archive.url).rglob("*") if p.is_file()} == known


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server of its own, as a session of it is killed."""
    folder = tmp_path_factory.mktemp("faults")
    jobs = subprocess.Popen(
        [sys.executable, "tests/stepwise.py", str(folder / "socket")],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
    )  # fmt: skip
    with contextmanager(_start)(18) as server:
        try:
            world = World(server, folder)
            make(world)
            assert jobs.stdout
            jobs.stdout.readline()
            world.reset()
            job = world.start()
            assert "rewritten" in job.end()
            world.steps = job.steps
            world.check({}, set())
            yield world
        finally:
            jobs.kill()
            jobs.communicate()


def make(world: World) -> None:
    """Write decisions, of which half are encrypted with the key before."""
    url = world.server.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select ops.create_month_partitions('agentic.agent_decisions', %s, %s)",
            (MONTHS[0], MONTHS[-1]),
        )
        for table, row in ROWS.items():
            if table.startswith("agentic.") and table != TABLE:
                insert(connection, table, row)
        for number in range(DECISIONS):
            decision = f"{number:08}-0000-4000-8000-000000000000"
            text = f"{MARKER} {number} " + "x" * (number % 300)
            content = BEFORE.encrypt(text, cell(decision)) if number % 2 else text
            row = {
                "decision_id": decision, COLUMN: content,
                "created_at": f"{MONTHS[number // 2 % 4]} 12:00+00",
            }  # fmt: skip
            insert(connection, TABLE, ROWS[TABLE] | row)
            world.expected[decision] = text
        world.change_ids = {
            str(decision): change_id
            for decision, change_id in connection.execute(
                f"select decision_id, change_id from {TABLE}".encode()
            )
        }
        before = Archive(str(world.folder / "archive"))
        for month in MONTHS[:2]:
            cold_archive.remove_month(connection, before, TABLE, month)
        connection.execute("select ops.archive_month('agentic.agent_decisions', %s)", (MONTHS[2],))
    shutil.copytree(before.url, world.folder / "before")
    with psycopg.connect(world.server.url(), autocommit=True) as connection:
        name = url.rpartition("/")[2]
        connection.execute(f"alter database {name} rename to before".encode())


@dataclass
class Writer:
    """An application that decides, corrects what it has said, and judges; half of it has keys."""

    url: str
    seed: int
    mine: list[str]
    written: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    writes: int = 0

    def write(self, is_over: threading.Event) -> None:
        """Write until it is over; no lock is waited for longer than 500 ms."""
        dice = random.Random(self.seed)  # noqa: S311
        with psycopg.connect(self.url, autocommit=True, options="-c lock_timeout=500") as session:
            while not is_over.wait(0.02):
                try:
                    self.step(session, dice)
                    self.writes += 1
                except psycopg.Error as error:
                    self.faults.append(str(error))

    def step(self, session: psycopg.Connection, dice: random.Random) -> None:
        """Write once."""
        decision = dice.choice(self.mine) if self.mine else str(uuid4())
        text = f"{MARKER} {uuid4()}"
        content = BOTH.encrypt(text, cell(decision)) if self.seed % 2 else text
        kind = dice.choice(["judge", "correct", "decide"])
        if kind == "judge":
            self.touched.add(decision)
            session.execute(
                f"update {TABLE} set user_feedback = 'approved' where decision_id = %s".encode(),
                (decision,),
            )
        elif kind == "correct":
            self.touched.add(decision)
            session.execute(
                f"update {TABLE} set {COLUMN} = %s where decision_id = %s".encode(),
                (content, decision),
            )
            self.written[decision] = text
        else:
            decision = str(uuid4())
            content = BOTH.encrypt(text, cell(decision)) if self.seed % 2 else text
            row: dict[str, Any] = {"decision_id": decision, COLUMN: content, "session_id": ONE}
            insert(session, TABLE, ROWS[TABLE] | row | {"created_at": f"{MONTHS[3]} 13:00+00"})
            self.written[decision] = text
            self.touched.add(decision)


def kill_the_job(world: World, job: Job, dice: random.Random) -> None:
    """The worker is out of memory."""
    job.kill()


def kill_the_job_a_moment_later(world: World, job: Job, dice: random.Random) -> None:
    """The same in the middle of a statement or a file."""
    job.go_on()
    time.sleep(dice.random() * 0.05)
    with suppress(ProcessLookupError):  # it was the last step
        job.kill()


def end_its_session(world: World, job: Job, dice: random.Random) -> None:
    """An administrator ends what the job does."""
    with psycopg.connect(world.server.url()) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'agentbooks'"
        )
    job.go_on()
    job.end()


@pytest.mark.parametrize("number", range(max(1, FAULTS // IN_A_ROW)))
def test_no_kill_loses_a_text_or_leaves_one_in_clear(world: World, number: int) -> None:
    """A text that is half encrypted, overwritten, or in clear in a file that nobody knows of."""
    dice = random.Random(number)  # noqa: S311
    world.reset()
    hot = [d for n, d in enumerate(world.expected) if n // 2 % 4 == 3]
    writers = [Writer(world.url, seed, hot[seed::WRITERS]) for seed in range(WRITERS)]
    is_over = threading.Event()
    threads = [threading.Thread(target=writer.write, args=(is_over,)) for writer in writers]
    for thread in threads:
        thread.start()
    kills = 0
    try:
        for turn in range(IN_A_ROW):
            # To one key and back, so that there is always something to do.
            keys = NEW if turn % 2 else ",".join(reversed(NEW.split(",")))
            job = world.start(dice.choice(world.steps), keys)
            if job.has_stopped():
                fault = dice.choice([kill_the_job, kill_the_job_a_moment_later, end_its_session])
                print(f"{fault.__name__} before {job.steps[-1]}")
                fault(world, job, dice)
                kills += 1
        assert "Traceback" not in world.start().end()
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    print(f"{kills} kills beside {sum(writer.writes for writer in writers)} writes")
    assert [fault for writer in writers for fault in writer.faults] == []
    assert all(writer.writes for writer in writers)
    world.start().end()
    written = {d: text for writer in writers for d, text in writer.written.items()}
    touched = {d for writer in writers for d in writer.touched}
    world.check(written, touched)
