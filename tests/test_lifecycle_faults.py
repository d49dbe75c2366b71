"""The lifecycle's jobs die at any step, or what they stand on does; run again, they lose and double nothing.

Real commands work on a real server of these tests' own. `AGENTBOOKS_FAULTS` sets how many faults there are:
40 unless it says otherwise. The number of a fault says what it is, and where.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.connection import Client
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
import s3fs
from conftest import ROOT, UNPRIVILEGED, _start
from faults import value
from moto.server import ThreadedMotoServer
from psycopg import sql
from pyarrow import csv, parquet
from refreshing import Refresher

from orchestration import cold_archive
from orchestration.cold_archive import Archive
from orchestration.simulated_traffic import simulate_traffic, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from conftest import TestServer

    Digest = dict[str, tuple[Any, ...]]

FAULTS = int(os.environ.get("AGENTBOOKS_FAULTS", "40"))
IN_A_ROW = 8
AS_OF = "2026-08-03"
# The first week's April is due to leave, its May and the second week's April to be archived; that May stays.
WEEKS = (date(2025, 5, 4), date(2026, 5, 4))
EARLIER = ("2025-07-31", "2025-08-01", "2026-02-28", "2026-07-30", "2026-07-31")
ENFORCE = ("retention", "enforce", "--as-of", AS_OF)
DISK = 192 << 20

# What a job that died may have left lying about.
ORPHANS = """
select c.oid::regclass::text
from pg_class as c
where
    c.relkind = 'r' and not c.relispartition
    and (c.relname ~ '_y[0-9]{4}m[0-9]{2}$' or c.relpersistence = 'u')
union all
select 'a transaction that never ended moving rows' from ops.lifecycle_transactions
"""
TABLES = """
select
    replace(t.table_name, '.', '__'),
    t.table_name,
    array(
        select y.column_name
        from seeds.retention_policies as p
        cross join ops.payload_parts(p.payload_columns) as y
        where p.table_name = t.table_name
    )
from ops.captured_tables as t
where to_regclass('history.' || replace(t.table_name, '.', '__')) is not null
order by t.table_name
"""


@dataclass
class Job:
    """A command in a process of its own, which may stand before one of its steps."""

    pid: int
    command: tuple[str, ...]
    pipe: Connection
    steps: list[str] = field(default_factory=list)
    printed: str = ""

    def has_stopped(self) -> bool:
        """Wait until it stands before its step, or has ended before it came there."""
        told = self.pipe.recv()
        if isinstance(told, list):
            self.steps = told
            return True
        self.steps, self.printed = told
        return False

    def go_on(self) -> None:
        """Let it go on from there."""
        self.pipe.send("go on")

    def end(self) -> str:
        """Wait for its end; it must have told in a sentence whatever went wrong."""
        assert self.pipe.poll(300), "it hangs"
        assert not self.has_stopped()
        assert "Traceback" not in self.printed, self.printed
        assert "Unexpected" not in self.printed, self.printed
        return self.printed

    def kill(self) -> None:
        """Kill it as the kernel would."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(EOFError, OSError):  # in the middle of what it was telling, perhaps
            while True:
                self.pipe.recv()


@dataclass
class World:
    """A database with months that are due, its archive, and what both must say in the end."""

    server: TestServer
    refresher: Refresher
    folder: Path
    disk: Path | None
    steps: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    expected: dict[str, Digest] = field(default_factory=dict)
    tables: list[tuple[str, str, list[str]]] = field(default_factory=list)
    away: list[tuple[str, date]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        """The database."""
        return self.server.url("faulty")

    @property
    def archive(self) -> Archive:
        """Where its months go."""
        return Archive(os.environ[cold_archive.URL_VARIABLE])

    @property
    def files(self) -> list[Path]:
        """The files there."""
        return sorted(path for path in Path(self.archive.url).rglob("*") if path.is_file())

    def reset(self, state: str, *, on_disk: bool = False) -> None:
        """Begin anew: before anything that is due was done, or after it."""
        self.wait()
        for path in (Path(self.archive.url), Path(self.archive.url + ".away")):
            shutil.rmtree(path, ignore_errors=True)
        if (self.folder / state).is_dir():
            shutil.copytree(self.folder / state, self.archive.url)
        place = "tablespace small" if on_disk else ""
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute("drop database if exists faulty with (force)")
            connection.execute(f"create database faulty template {state} {place}".encode())
        with psycopg.connect(self.url) as connection:
            # A copy would be counted anew, as transactions of another server have other numbers.
            connection.execute("update ops.collections set server = ops.server_identity()")

    def keep(self, state: str) -> None:
        """Keep what there is as a state to begin from."""
        if Path(self.archive.url).is_dir():
            shutil.copytree(self.archive.url, self.folder / state)
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(f"create database {state} template faulty".encode())

    def start(self, command: tuple[str, ...], stop_at: str = "") -> Job:
        """Start a command, which stands before that step until it is told to go on."""
        pipe = Client(str(self.folder / "socket"))
        job = Job(pipe.recv(), command, pipe)
        environment = {name: word for name, word in os.environ.items() if name.startswith("AWS_")}
        environment |= {
            "AGENTBOOKS_DATABASE_URL": self.url,
            cold_archive.URL_VARIABLE: self.archive.url,
        }
        pipe.send((command, environment, stop_at))
        return job

    def run(self, command: tuple[str, ...]) -> str:
        """Run a command to its end."""
        return self.start(command).end()

    def finish(self) -> None:
        """Run what is due until nothing is."""
        for _ in range(3):
            told = self.run(ENFORCE)
            if all(re.search(r"\b[nN]othing (done|was due)\b", line) for line in told.splitlines()):
                return
            assert "fail" not in told, told
        raise AssertionError(f"there is always something due: {told}")

    def unneeded_files(self, job: Job) -> list[Path]:
        """List the files of months that have not left, and do not leave with the next statement."""
        if "ops.remove_month" in job.steps[-1]:
            return []
        with psycopg.connect(self.url) as connection:
            needed = {
                self.archive.file_url(table, month) for table, month in self.departed(connection)
            }
        return [path for path in self.files if str(path) not in needed]

    def wait(self) -> None:
        """Wait until the server answers and nobody else is on the database."""
        for _ in range(600):
            with (
                suppress(psycopg.OperationalError),
                psycopg.connect(self.server.url()) as connection,
            ):
                if not value(
                    connection,
                    "select count(*) from pg_stat_activity where datname = 'faulty'"
                    " and backend_type = 'client backend'",
                ):
                    return
            time.sleep(0.05)
        raise AssertionError("somebody is still on the database")

    def restart(self) -> None:
        """Stop the server at once, without a word to anybody, and start it again."""
        self.server.run(
            "pg_ctl", "-D", str(self.server.folder / "data"), "-m", "immediate", "restart"
        )

    def kill_backends(self) -> None:
        """Kill what serves the job."""
        with psycopg.connect(self.server.url()) as connection:
            found = connection.execute(
                "select pid from pg_stat_activity"
                " where datname = 'faulty' and backend_type = 'client backend'"
            ).fetchall()
        for (pid,) in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def departed(self, connection: psycopg.Connection) -> list[tuple[str, date]]:
        """Months that have left; the tables that others hang under come first."""
        return connection.execute(
            "select table_name, month from ops.departures"
            " where removed_at is not null order by frozen_at desc"
        ).fetchall()

    def digest(self, connection: psycopg.Connection) -> Digest:
        """By table: how many rows are hot, warm and cold, and what they say without payloads and with."""
        with connection.transaction(force_rollback=True):
            connection.execute("set local time zone 'UTC'")
            cold = []
            for table, month in self.departed(connection):
                name = table.replace(".", "__")
                if name not in cold:
                    connection.execute(f"create temp table {name} (like history.{name})".encode())
                    cold.append(name)
                names = cold_archive.Columns.of(connection, table).names
                into = sql.SQL("copy pg_temp.{} ({}) from stdin (format csv)").format(
                    sql.Identifier(name),
                    sql.SQL(", ").join(map(sql.Identifier, names)),
                )
                batches = cold_archive.read_month(connection, self.archive, table, month, names)
                with connection.cursor().copy(into) as copy:
                    for batch in batches:
                        lines = io.BytesIO()
                        csv.write_csv(batch, lines, csv.WriteOptions(include_header=False))
                        copy.write(lines.getvalue())
            query = " union all ".join(
                f"select '{table}', count(*),"
                f" sum(hashtextextended((to_jsonb(r) - array{payloads}::text[])::text, 0)),"
                f" sum(hashtextextended(r::text, 0))"
                f" from (select * from history.{name}"
                f"{f' union all select * from pg_temp.{name}' if name in cold else ''}) as r"
                for name, table, payloads in self.tables
            )
            return {row[0]: row[1:] for row in connection.execute(query.encode()).fetchall()}

    def marts(self, connection: psycopg.Connection) -> Digest:
        """By table that dbt makes: how many rows it has, and what they say."""
        query = " union all ".join(
            f"select '{name}', count(*), sum(hash_record_extended(t, 0)) from {name} as t"
            for name in self.refresher.statements
        )
        return {row[0]: row[1:] for row in connection.execute(query.encode()).fetchall()}

    def check_conserved(self) -> None:
        """Find every row once, whatever has just happened."""
        self.wait()
        with psycopg.connect(self.url, autocommit=True) as connection:
            found, expected = self.digest(connection), self.expected["before"]
        assert {table: row[:2] for table, row in found.items()} == {
            table: row[:2] for table, row in expected.items()
        }

    def check(self, state: str = "after") -> None:
        """Find everything as it is without a fault; then bring it all back."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            assert self.digest(connection) == self.expected[state]
            assert connection.execute(ORPHANS).fetchall() == []
            known = {url for (url,) in connection.execute("select url from ops.archive_files")}
            if not self.archive.url.startswith("s3:"):
                assert {str(path) for path in self.files} == known, "a file that nobody knows of"
            assert self.marts(connection) == self.expected["marts"]
            waiting = self.departed(connection)
            while waiting:
                left = []
                for table, month in waiting:
                    try:
                        list(cold_archive.restore(connection, self.archive, table, month, month))
                    except cold_archive.RefusedError:
                        left.append((table, month))  # what it hangs under comes first
                assert len(left) < len(waiting), left
                waiting = left
            assert self.departed(connection) == []
            assert self.digest(connection) == self.expected[state]
            assert connection.execute(ORPHANS).fetchall() == []
            self.refresher.refresh(connection)
            assert self.marts(connection) == self.expected["marts"]


# What can happen to a job that stands before a step.


def kill_the_job(world: World, job: Job, draw: Random) -> None:
    """The worker is out of memory."""
    job.kill()


def kill_the_job_a_moment_later(world: World, job: Job, draw: Random) -> None:
    """The same in the middle of a statement or a file."""
    job.go_on()
    time.sleep(draw.random() * 0.05)
    job.kill()


def kill_its_backend(world: World, job: Job, draw: Random) -> None:
    """A process of PostgreSQL is out of memory, and all others start anew."""
    world.kill_backends()
    job.go_on()
    job.end()


def kill_its_backend_a_moment_later(world: World, job: Job, draw: Random) -> None:
    """The same in the middle of a statement."""
    job.go_on()
    time.sleep(draw.random() * 0.05)
    world.kill_backends()
    job.end()


def restart_the_server(world: World, job: Job, draw: Random) -> None:
    """The machine of the database goes down and comes back."""
    world.restart()
    job.go_on()
    job.end()


def restart_the_server_a_moment_later(world: World, job: Job, draw: Random) -> None:
    """The same in the middle of a statement."""
    job.go_on()
    time.sleep(draw.random() * 0.05)
    world.restart()
    job.end()


def lose_the_archive(world: World, job: Job, draw: Random) -> None:
    """Its folder is gone, and comes back when the job has ended."""
    place, away = Path(world.archive.url), Path(world.archive.url + ".away")
    place.mkdir(exist_ok=True)
    place.rename(away)
    place.touch()
    job.go_on()
    job.end()
    place.unlink()
    away.rename(place)


def fill_the_archives_disk(world: World, job: Job, draw: Random) -> None:
    """It has room for another few bytes."""
    with filled(Path(world.archive.url).parent, draw.choice((0, 4096, 12288))):
        job.go_on()
        job.end()


def fill_the_databases_disk(world: World, job: Job, draw: Random) -> None:
    """It has room for another few pages."""
    assert world.disk
    with filled(world.disk, draw.choice((0, 65536, 1 << 20))):
        job.go_on()
        job.end()


def cut_files(world: World, job: Job, draw: Random) -> None:
    """Files that nothing rests on yet end in the middle."""
    for path in world.unneeded_files(job):
        path.write_bytes(path.read_bytes()[: draw.randrange(path.stat().st_size + 1)])
    job.go_on()
    job.end()


def change_files(world: World, job: Job, draw: Random) -> None:
    """A byte of files that nothing rests on yet is another one."""
    for path in world.unneeded_files(job):
        content = bytearray(path.read_bytes())
        if content:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(content)
    job.go_on()
    job.end()


def change_rows(world: World, job: Job, draw: Random) -> None:
    """Two rows of files that nothing rests on yet have swapped places, and the file is a good one."""
    for path in world.unneeded_files(job):
        with suppress(Exception):  # it is not written to its end yet
            rows = parquet.read_table(path)
            parquet.write_table(rows.take([*range(1, rows.num_rows), 0]), path)
    job.go_on()
    job.end()


def let_the_clock_jump(world: World, job: Job, draw: Random) -> None:
    """The job is killed, and run again on days that are before, and on one that has not come."""
    job.kill()
    for day in draw.sample(EARLIER, 2):
        told = world.run((*ENFORCE[:-1], day))
        assert "fail" not in told, told
    assert "has not come" in world.run((*ENFORCE[:-1], "2099-01-01"))


def run_another_beside(world: World, job: Job, draw: Random) -> None:
    """Somebody starts the same by hand."""
    other = world.start(job.command, draw.choice(job.steps))
    time.sleep(draw.random())
    job.go_on()
    is_killed = draw.randrange(2) == 1
    if is_killed:
        time.sleep(draw.random() / 5)
        job.kill()
    # It may stand with a lock in its hand, for which the first one waits.
    if other.has_stopped():
        other.go_on()
        other.end()
    if not is_killed:
        job.end()


def refresh_beside(world: World, job: Job, draw: Random) -> None:
    """A bare dbt run is at work."""
    done: list[int] = []

    def refresh() -> None:
        with psycopg.connect(world.url, autocommit=True) as connection:
            world.refresher.refresh(connection)
            done.append(1)

    thread = threading.Thread(target=refresh)
    thread.start()
    time.sleep(draw.random() / 5)
    job.go_on()
    if draw.randrange(2):
        time.sleep(draw.random() / 5)
        job.kill()
    else:
        job.end()
    thread.join()
    assert done, "the refresh broke"


# Of these the job dies, with those it goes on to its end.
KILLS = [
    kill_the_job,
    kill_the_job_a_moment_later,
    kill_its_backend,
    kill_its_backend_a_moment_later,
    restart_the_server,
    restart_the_server_a_moment_later,
]
OTHERS = {
    "enforce": [
        cut_files,
        lose_the_archive,
        run_another_beside,
        change_files,
        refresh_beside,
        change_rows,
        let_the_clock_jump,
    ],
    "restore": [lose_the_archive, run_another_beside, refresh_beside],
}
ON_DISKS = [fill_the_archives_disk, fill_the_databases_disk]


@contextmanager
def filled(disk: Path, room: int) -> Iterator[None]:
    """Leave a disk that much room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, max(0, filler.stat().st_size - room))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path | None]:
    """Lend a small disk, where this user can make one."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=False
    )
    try:
        yield place if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, build_marts: Callable[..., None]
) -> Iterator[World]:
    """A server of its own, as it will be killed, with two weeks of traffic in two years."""
    folder = tmp_path_factory.mktemp("faults")
    with contextlib.contextmanager(_start)(18) as server:
        url = server.database()
        with psycopg.connect(url, autocommit=True) as connection:
            for seed, last_day in enumerate(WEEKS, 1):
                for _, writes in simulate_traffic(8, 3, seed, last_day).batches():
                    write(connection, writes)
        refresher = Refresher.build(url, build_marts)
        made = url.rpartition("/")[2]
        with psycopg.connect(url, autocommit=True) as connection:
            refresher.refresh(connection)
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"alter database {made} rename to before".encode())
        with prepared(server, refresher, folder) as world:
            yield world


@contextmanager
def prepared(server: TestServer, refresher: Refresher, folder: Path) -> Iterator[World]:
    """Do once what is due, undisturbed, to know its steps and its outcome."""
    jobs = subprocess.Popen(
        [sys.executable, "tests/stepwise.py", str(folder / "socket")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    with (
        small_disk(folder / "archives", 4 << 20) as archives,
        small_disk(server.folder / "small", DISK) as disk,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv(cold_archive.URL_VARIABLE, str((archives or folder) / "archive"))
        world = World(server, refresher, folder, disk)
        with psycopg.connect(server.url(), autocommit=True) as connection:
            if disk:
                shutil.chown(disk, UNPRIVILEGED)
                connection.execute(f"create tablespace small location '{disk}'".encode())
        try:
            assert jobs.stdout
            jobs.stdout.readline()
            world.reset("before")
            with psycopg.connect(world.url, autocommit=True) as connection:
                world.tables = connection.execute(TABLES).fetchall()
                world.expected["before"] = world.digest(connection)
                world.expected["marts"] = world.marts(connection)
            job = world.start(ENFORCE)
            job.end()
            world.steps[ENFORCE] = job.steps
            world.finish()
            with psycopg.connect(world.url, autocommit=True) as connection:
                world.expected["after"] = world.digest(connection)
                world.away = world.departed(connection)
            world.keep("after")
            for table, month in world.away:
                job = world.start(restoring(table, month))
                job.end()
                world.steps[job.command] = job.steps
            world.check()
            yield world
        finally:
            jobs.kill()
            jobs.communicate()
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute("drop database if exists faulty with (force)")
                connection.execute("drop tablespace if exists small")


def restoring(table: str, month: date) -> tuple[str, ...]:
    """Return the command that brings a month back."""
    return ("restore", table, "--from", f"{month:%Y-%m}", "--to", f"{month:%Y-%m}")


@pytest.mark.parametrize("number", range(FAULTS // IN_A_ROW))
def test_no_fault_loses_or_doubles_a_row_or_changes_a_number(world: World, number: int) -> None:
    """A row that is gone or there twice, a mart that moved, a table or a file that nobody knows of."""
    draw = Random(number)  # noqa: S311  (it must repeat)
    name = "restore" if number % 4 == 3 else "enforce"
    has_disk = world.disk is not None and number % 3 == 0
    world.reset("after" if name == "restore" else "before", on_disk=has_disk)
    command = ENFORCE
    if name == "restore":
        place = draw.randrange(len(world.away))
        for table, month in world.away[:place]:
            world.run(restoring(table, month))
        command = restoring(*world.away[place])
    others = ON_DISKS if has_disk else OTHERS[name]
    faults = [*draw.choices(KILLS, k=IN_A_ROW - 1), others[number // 3 % len(others)]]
    steps = world.steps[command]
    for fault, place in zip(faults, sorted(draw.sample(range(len(steps)), IN_A_ROW)), strict=True):
        job = world.start(command, steps[place])
        if job.has_stopped():
            print(f"{fault.__name__} before {job.steps[-1]}")
            fault(world, job, draw)
            world.check_conserved()
            world.done[f"{name}: {fault.__name__}"] += 1
    if name == "restore":
        world.run(command)
    else:
        world.finish()
    world.check()


@pytest.mark.parametrize(
    "before", ["create temp table", "exit_gen", "insert into ops.archive_files"]
)
def test_a_bucket_that_is_lost_midway_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """A month dropped for an object that nobody can read, as its storage went between two steps."""
    with contextlib.closing(Bucket()) as bucket:
        for name, word in bucket.environment().items():
            monkeypatch.setenv(name, word)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(bucket.name)
        world.reset("before")
        job = world.start(
            ENFORCE,
            next(
                step
                for step in world.steps[ENFORCE]
                if before in step and step.startswith("observability.spans")
            ),
        )
        assert job.has_stopped()
        bucket.close()
        job.go_on()
        told = job.end()
        assert "observability.spans: " in told
        bucket.open()
        world.check_conserved()
        world.finish()
        world.check()
    s3fs.S3FileSystem.clear_instance_cache()


class Bucket:
    """An S3 server on this machine, whose objects outlive its absence."""

    def __init__(self) -> None:
        """Start it somewhere."""
        self.port = 0
        self.name = f"cold-{uuid4().hex}"
        self.open()

    def open(self) -> None:
        """Start it where it was."""
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()
        _, self.port = self.server.get_host_and_port()

    def close(self) -> None:
        """Stop it."""
        self.server.stop()

    def environment(self) -> dict[str, str]:
        """Return the variables by which it is found."""
        return {
            cold_archive.URL_VARIABLE: f"s3://{self.name}/agentbooks",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }
