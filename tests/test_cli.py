"""Every command explains itself, and no failure shows a traceback."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import typer
from test_retention import seed

from orchestration import cli, database, server
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import TestServer

MARCH = "--from 2026-03 --to 2026-03"


def commands(
    command: Any = None, path: tuple[str, ...] = ("agentbooks",)
) -> Iterator[tuple[str, Any]]:
    """Every command and group, with its full name."""
    command = command or typer.main.get_command(cli.app)
    yield " ".join(path), command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process; give exit code, output and errors."""
    monkeypatch.setenv(server.HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.delenv(database.URL_VARIABLE, raising=False)
    monkeypatch.delenv("AGENTBOOKS_DEBUG", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["agentbooks", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        code = end.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_has_a_help_text(name: str, command: Any) -> None:
    """A command that only its author can use."""
    assert command.help, f"give `{name}` a docstring that says what it does"
    assert command.help.endswith("."), f"end the help of `{name}` with a full stop"
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, f"say what {parameter.name} of `{name}` means"


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_help_text_can_be_printed(
    run: Callable[..., tuple[int, str, str]], name: str
) -> None:
    """A module that fails on import ends every command."""
    code, output, errors = run(*name.split()[1:], "--help")
    assert (code, errors) == (0, "")
    assert "Usage: " in output


def test_help_does_not_import_what_only_commands_need() -> None:
    """A second's wait for `agentbooks --help`, and worse for the shell's completion."""
    code = (
        "import sys, orchestration.cli;"
        "print(*{'dagster', 'dbt', 'psycopg', 'genai_prices', 'msgspec'} & set(sys.modules))"
    )
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (imported.stdout.strip(), imported.stderr) == ("", "")


@pytest.mark.parametrize(
    ("url", "arguments", "sign"),
    [
        (None, ["db", "url"], "start it with `agentbooks db up`"),
        ("postgresql://somebody@127.0.0.1:1/books", ["db", "up"], "Connection refused"),
        ("postgresql://a:secret@host:x/y", ["db", "up"], "AGENTBOOKS_DATABASE_URL"),
        ("no url", ["db", "up"], "is no connection URL"),
    ],
)
def test_a_failure_is_one_sentence_on_standard_error(
    run: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    url: str | None,
    arguments: list[str],
    sign: str,
) -> None:
    """A traceback hides the cause, and a failure with exit code 0 goes unseen in a script."""
    if url:
        monkeypatch.setenv(database.URL_VARIABLE, url)
    code, output, errors = run(*arguments)
    assert (code, output) == (1, "")
    assert errors.startswith("agentbooks: ")
    assert errors.endswith(".\n")
    assert errors.count("\n") == 1
    assert sign in errors
    assert "secret" not in errors


LIFECYCLE = [
    "retention lint",
    "retention plan",
    "retention enforce",
    "hold list",
    "hold place --subject somebody --reason 'case 7'",
    "hold release 1",
    "erase --subject somebody",
    "erase --receipt 1",
    f"restore observability.spans {MARCH}",
    f"read-archive observability.spans {MARCH}",
]


def test_a_database_that_was_not_bootstrapped_is_told(
    run: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    server18: TestServer,
) -> None:
    """A relation of ours that does not exist, which says nothing to who forgot a command."""
    monkeypatch.setenv(database.URL_VARIABLE, server18.empty_database())
    for line in LIFECYCLE:
        code, output, errors = run(*shlex.split(line))
        assert (code, output, errors.count("\n")) == (1, "", 1), line
        assert errors.endswith("run `agentbooks bootstrap` first.\n"), line


def test_a_server_that_ends_midway_is_told(
    monkeypatch: pytest.MonkeyPatch, server18: TestServer
) -> None:
    """A defect that is to be reported, for a server that was restarted."""
    monkeypatch.setenv(database.URL_VARIABLE, server18.database())
    said = r"^The database could not go on \(terminating connection .*\): look after it"
    with pytest.raises(AgentbooksError, match=said), database.bootstrapped() as connection:
        connection.execute("select pg_terminate_backend(pg_backend_pid())")


SLIPS = {
    "retention plan ''": "an empty name has no policy",
    "retention enforce ''": "an empty name has no policy",
    "restore observability.spans --from 2026-05 --to 2026-04": "2026-05 is after 2026-04",
    "read-archive observability.spans --from 2026-05 --to 2026-04": "2026-05 is after 2026-04",
    "restore observability.traces --from 0001-01 --to 9999-12": "has left it",
    "erase --subject \udcff": "is not UTF-8",
} | {
    f"{command} '{name}' {MARCH}": f'"{name}" is no raw table that is kept by months'
    for command in ("restore", "read-archive")
    for name in (
        "",
        "..",
        "a.b.c.d",
        "pg_class",
        "observability.nothing",
        "OBSERVABILITY.SPANS",
        "archive.observability__spans",
        "observability.spans_default",
    )
}


def test_an_argument_that_means_nothing_is_told(
    run: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    server18: TestServer,
) -> None:
    """A slip that reads as `there is nothing to do`, an unset variable of a shell that means all."""
    url = server18.database()
    with psycopg.connect(url, autocommit=True) as connection:
        seed(connection)
        partition = connection.execute("select to_regclass('observability.spans_default')")
        assert partition.fetchone() != (None,), "it is a table, but none by itself"
    monkeypatch.setenv(database.URL_VARIABLE, url)
    for line, sign in SLIPS.items():
        code, _, errors = run(*shlex.split(line))
        assert (code, errors.count("\n")) == (1, 1), f"{line}: {errors}"
        assert sign in errors, line


def test_a_defect_is_one_sentence_too(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody but us can use its traceback, and we get it by AGENTBOOKS_DEBUG."""

    def fail() -> None:
        raise KeyError("lost")

    monkeypatch.setattr(server, "up", fail)
    code, _, errors = run("db", "up")
    assert code == 1
    assert errors.startswith("agentbooks: Unexpected KeyError ('lost'): ")
    assert errors.count("\n") == 1
    monkeypatch.setenv("AGENTBOOKS_DEBUG", "1")
    with pytest.raises(KeyError):
        cli.main()


def test_an_interrupted_command_ends_with_130_in_silence(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make` must see that it was Ctrl-C."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "up", interrupt)
    assert run("db", "up") == (130, "", "")


def test_status_of_a_server_that_never_ran(run: Callable[..., tuple[int, str, str]]) -> None:
    """Scripts ask by exit code."""
    assert run("db", "status") == (3, "PostgreSQL is not running.\n", "")
    assert run("db", "down") == (0, "PostgreSQL was not running.\n", "")


def test_dbt_gets_the_parts_of_a_url_as_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """`prod` in profiles.yml knows PostgreSQL's own variables only."""
    monkeypatch.setenv(
        database.URL_VARIABLE, "postgresql://me:p%40ss@db.example:6432/books?sslmode=require"
    )
    assert database.dbt_environment() == {
        "DBT_TARGET": "prod",
        "PGHOST": "db.example",
        "PGPORT": "6432",
        "PGUSER": "me",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "books",
        "PGSSLMODE": "require",
    }


def test_without_a_server_dbt_is_told_to_start_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message of dbt itself would blame the port."""
    monkeypatch.delenv(database.URL_VARIABLE, raising=False)
    monkeypatch.setenv(server.HOME_VARIABLE, str(tmp_path))
    with pytest.raises(AgentbooksError, match="agentbooks db up"):
        database.dbt_environment()
