"""The embedded server outlives what starts it, is found again, and tells why it cannot start."""

from __future__ import annotations

import os
import pickle
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from orchestration import database, server
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start as somebody else")
CLI = [sys.executable, "-m", "orchestration.cli"]
PROJECT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    """No server of the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (database.URL_VARIABLE, server.PASSWORD_VARIABLE):
            patch.delenv(name, raising=False)
        yield patch


def make_home(patch: pytest.MonkeyPatch) -> Path:
    """Return a folder that any user may enter; pytest's own admit only the one who runs them."""
    folder = Path(tempfile.mkdtemp(prefix="agentbooks-")).resolve()
    folder.chmod(0o755)
    patch.setenv(server.HOME_VARIABLE, str(folder / ".agentbooks"))
    patch.setenv(server.PORT_VARIABLE, str(free_port()))
    return folder / ".agentbooks"


def remove(home: Path) -> None:
    """End the server, however it was started, and delete its files."""
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and Path(process.cwd()).parent == home:
                process.kill()
        except psutil.Error:
            continue
    shutil.rmtree(home.parent, ignore_errors=True)


@pytest.fixture
def home(environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of one test's own."""
    folder = make_home(monkeypatch)
    yield folder
    remove(folder)


@pytest.fixture(scope="module")
def running(environment: pytest.MonkeyPatch) -> Iterator[server.Server]:
    """A server for tests that leave it as it is."""
    folder = make_home(environment)
    yield server.up()
    remove(folder)


def is_one_sentence(text: str) -> bool:
    """Whether a message is fit for a user."""
    return "\n" not in text and text.endswith(".") and "Traceback" not in text


def test_the_next_command_finds_the_running_server(running: server.Server) -> None:
    """A second server on the same data would ruin it."""
    assert server.up() == running
    assert server.status() == running
    assert server.dsn() == running.dsn
    assert running.exports == {}
    assert database.dbt_environment() == {
        "DBT_TARGET": "local",
        server.PORT_VARIABLE: str(running.port),
    }


def test_it_listens_on_the_loopback_address_only(running: server.Server) -> None:
    """Its password is known to everyone who reads the README."""
    listening = [
        connection.laddr
        for process in psutil.process_iter()
        if process.pid == running.pid
        for connection in process.net_connections("all")
        if connection.status == psutil.CONN_LISTEN or isinstance(connection.laddr, str)
    ]
    assert listening == [("127.0.0.1", running.port)]


def test_it_orders_text_by_code_point_and_keeps_time_in_utc(running: server.Server) -> None:
    """An order that follows the system's locale gives other marts on another laptop."""
    with database.connect() as connection:
        row = connection.execute(
            "select datlocprovider, datlocale, pg_encoding_to_char(encoding),"
            " current_setting('timezone'), lower('ÄÉ'), 'Z' < 'a', current_setting('is_superuser'),"
            " current_setting('application_name') from pg_database"
            " where datname = current_database()"
        ).fetchone()
    assert row == ("b", "C.UTF-8", "UTF8", "UTC", "äé", True, "on", "agentbooks")


@pytest.mark.parametrize(
    ("url", "sign"),
    [
        ("postgresql://agentbooks:wrong@127.0.0.1:{port}/agentbooks", "mend the user or the"),
        ("postgresql://agentbooks@127.0.0.1:{port}/agentbooks?passfile=/none", "put the password"),
        ("postgresql://nobody:agentbooks@127.0.0.1:{port}/agentbooks", "mend the user or the"),
        ("postgresql://agentbooks:agentbooks@127.0.0.1:{port}/none", "create that there"),
        ("postgresql://agentbooks:agentbooks@127.0.0.1:{port}/x?sslmode=require", "set sslmode"),
        ("postgresql://agentbooks:agentbooks@127.0.0.1:1/x", "start it there"),
    ],
)
def test_a_refused_connection_says_who_refused_and_what_to_do(
    running: server.Server, monkeypatch: pytest.MonkeyPatch, url: str, sign: str
) -> None:
    """Each refusal has another remedy, and the password belongs into none of the messages."""
    monkeypatch.setenv(database.URL_VARIABLE, url.format(port=running.port))
    with pytest.raises(AgentbooksError, match=sign) as refusal:
        database.connect()
    assert is_one_sentence(str(refusal.value))
    assert "127.0.0.1" in str(refusal.value)
    assert ":agentbooks@" not in str(refusal.value)


def test_a_wrong_local_password_names_its_variable(
    running: server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data folder keeps the password that it was made with."""
    monkeypatch.setenv(server.PASSWORD_VARIABLE, "other")
    with pytest.raises(AgentbooksError, match="set AGENTBOOKS_LOCAL_PASSWORD to") as failure:
        server.up()
    assert is_one_sentence(str(failure.value))


def test_it_outlives_its_parent_and_holds_no_pipe(home: Path) -> None:
    """`make demo | tee log` would never end; closing the terminal would end the server."""
    parent = subprocess.Popen(
        [*CLI, "db", "up"], cwd=PROJECT, stdout=subprocess.PIPE, process_group=0, text=True
    )
    output, _ = parent.communicate(timeout=60)
    with pytest.raises(ProcessLookupError):
        os.killpg(parent.pid, signal.SIGKILL)
    running = server.status()
    assert running is not None
    assert f"port {running.port}" in output
    assert os.getsid(running.pid) != os.getsid(0)
    assert server.down()
    assert server.status() is None
    assert not server.down()


def kill(pid: int) -> None:
    """End a process as a crash or the kernel's memory killer does."""
    process = psutil.Process(pid)
    process.kill()
    # It is gone when its parent has noticed; whose that is depends on the machine.
    psutil.wait_procs([process], timeout=1)


def test_it_recovers_when_it_was_killed_with_a_session_at_work(home: Path) -> None:
    """The session lives on, holds the shared memory, and keeps a new server from starting."""
    first = server.up()
    with psycopg.connect(first.dsn, autocommit=True) as connection:
        connection.execute("create table kept as select 1 as one")
        connection.execute("set statement_timeout = '20s'")
        session = psutil.Process(connection.info.backend_pid)

        def work() -> None:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("do $$ begin loop end loop; end $$")

        worker = threading.Thread(target=work)
        worker.start()
        while "DO" not in " ".join(session.cmdline()):  # PostgreSQL shows there what it runs
            time.sleep(0.01)
        kill(first.pid)
        assert session.is_running()
        assert server.status() is None
        second = server.up()
        worker.join()
    assert second.pid != first.pid
    assert second.port == first.port
    with psycopg.connect(second.dsn) as connection:
        assert connection.execute("select one from kept").fetchone() == (1,)


def test_a_stranger_with_the_dead_servers_number_is_not_taken_for_it(home: Path) -> None:
    """After a restart of the machine the number in postmaster.pid belongs to anyone."""
    first = server.up()
    kill(first.pid)
    owner = (home / "postgres").stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid, stdin=subprocess.DEVNULL) as stranger:
        pid_file = home / "postgres" / "postmaster.pid"
        pid_file.write_text(pid_file.read_text().replace(str(first.pid), str(stranger.pid), 1))
        assert server.status() is None
        assert server.up().port == first.port
        assert stranger.poll() is None
        stranger.kill()


def test_it_leaves_a_taken_port_and_remembers_the_other(home: Path) -> None:
    """A colleague's clone may have the usual port; dbt must be told where the server went."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(os.environ[server.PORT_VARIABLE])))
        other.listen()
        running = server.up()
        assert running.port != other.getsockname()[1]
        assert running.exports == {server.PORT_VARIABLE: str(running.port)}
        server.down()
        assert server.up().port == running.port


def test_of_two_ups_at_once_one_starts_it_and_both_succeed(home: Path) -> None:
    """Both would make the data folder."""
    ups = [
        subprocess.Popen([*CLI, "db", "up"], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [up.communicate(timeout=60)[0] for up in ups]
    assert [up.returncode for up in ups] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len([p for p in psutil.process_iter() if is_postmaster_of(p, home)]) == 1


def is_postmaster_of(process: psutil.Process, home: Path) -> bool:
    """Whether a process is a server on this home's data."""
    try:
        return process.name() == "postgres" and str(home / "postgres") in process.cmdline()
    except psutil.Error:
        return False


@AS_ROOT
def test_root_starts_it_as_somebody_else(home: Path) -> None:
    """PostgreSQL refuses to run as root, and that is who one is in a container."""
    assert psutil.Process(server.up().pid).username() in {"postgres", "nobody"}


@AS_ROOT
def test_it_starts_without_root(home: Path) -> None:
    """What works only for root works on no laptop."""
    somebody = pwd.getpwnam("nobody")
    home.mkdir(mode=0o700)
    os.chown(home, somebody.pw_uid, somebody.pw_gid)

    def up_twice() -> server.Server:
        os.setgroups([])
        os.setgid(somebody.pw_gid)
        os.setuid(somebody.pw_uid)
        assert server.up() == server.up()
        running = server.status()
        assert running is not None
        return running

    running = in_a_child(up_twice)
    assert psutil.Process(running.pid).username() == "nobody"
    # Root finds the server of somebody else, too.
    assert server.up() == running


def in_a_child(work: Callable[[], server.Server]) -> server.Server:
    """Run a function in a forked process: another user may not reach this Python's files."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result: object = work()
        except BaseException as error:
            result = error
        os.write(writer, pickle.dumps(result))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer: server.Server | BaseException = pickle.loads(pipe.read())  # noqa: S301 - our child's
    os.waitpid(child, 0)
    if isinstance(answer, BaseException):
        raise answer
    return answer


@AS_ROOT
def test_a_folder_that_keeps_the_other_user_out_is_named(home: Path) -> None:
    """A project under /root is the usual case."""
    home.parent.chmod(0o700)
    with pytest.raises(AgentbooksError, match=f"chmod o\\+x {home.parent}`") as failure:
        server.up()
    assert is_one_sentence(str(failure.value))


def test_a_folder_that_cannot_be_made_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own error names no remedy."""
    home.write_text("a file")
    with pytest.raises(AgentbooksError, match="set AGENTBOOKS_HOME to") as failure:
        server.up()
    assert is_one_sentence(str(failure.value))
    monkeypatch.setenv(server.HOME_VARIABLE, "/proc/agentbooks")
    with pytest.raises(AgentbooksError, match="set AGENTBOOKS_HOME to") as failure:
        server.up()
    assert is_one_sentence(str(failure.value))


def test_damaged_data_is_told_in_a_sentence_with_the_log(home: Path) -> None:
    """`pg_ctl: could not start server` helps nobody."""
    server.up()
    server.down()
    data = home / "postgres"

    control = data / "global" / "pg_control"
    control.write_bytes(bytes(control.stat().st_size))
    with pytest.raises(AgentbooksError, match=r"incompatible.*postgres\.log.*remove") as failure:
        server.up()
    assert is_one_sentence(str(failure.value))

    control.unlink()
    with pytest.raises(AgentbooksError, match=r"did not start.*postgres\.log.*remove") as failure:
        server.up()
    assert is_one_sentence(str(failure.value))

    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(AgentbooksError, match="written by PostgreSQL 17") as failure:
        server.up()
    assert is_one_sentence(str(failure.value))

    (data / "PG_VERSION").unlink()
    with pytest.raises(AgentbooksError, match="is no PostgreSQL data folder") as failure:
        server.up()
    assert is_one_sentence(str(failure.value))


@AS_ROOT
def test_a_full_disk_is_told_in_a_sentence(home: Path) -> None:
    """Half a data folder must not be taken for a whole one when there is room again."""
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "tmpfs", str(home)]
    if subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        with pytest.raises(AgentbooksError, match=r"No space left.*free some space") as failure:
            server.up()
        assert is_one_sentence(str(failure.value))
        assert not (home / "postgres").exists()
    finally:
        subprocess.run(["umount", home], check=True)


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1"])
def test_an_impossible_port_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    """int() would end in a traceback."""
    monkeypatch.setenv(server.PORT_VARIABLE, port)
    with pytest.raises(AgentbooksError, match="AGENTBOOKS_LOCAL_PORT is"):
        server.up()
