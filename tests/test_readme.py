"""What the README and the Makefile tell people to run is there to be run."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import psycopg.conninfo
import pytest
import typer
from conftest import ROOT
from raw_rows import ROWS, insert

from orchestration.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import TestServer

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def commands(group: typer.core.TyperGroup, prefix: str = "agentbooks") -> set[str]:
    """Give every command of a command line."""
    found = set()
    for name, command in group.commands.items():
        inner = commands(command, f"{prefix} {name}") if hasattr(command, "commands") else set()
        found |= inner or {f"{prefix} {name}"}
    return found


def test_every_make_target_in_the_readme_exists_and_is_explained() -> None:
    """Catches a README that outlives its Makefile."""
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    targets = set(re.findall(r"^([a-z]+):.*?## \w", MAKEFILE, re.MULTILINE))
    assert named <= targets, f"no such targets: {named - targets}"
    assert targets - named <= {"setup", "format"}, f"not in the README: {targets - named}"


def test_every_command_is_in_the_readme() -> None:
    """Catches a command that nobody can find."""
    table = README.split("## Commands")[1].split("\n## ")[0]
    listed = set()
    for line in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        words = re.findall(r"`([^`]+)`", line)
        stem = " ".join(words[0].split()[:-1])
        for word in words:
            whole = word if word.startswith("agentbooks") else f"{stem} {word}"
            listed.add(re.sub(r" (PATH|TABLE|\[).*", "", whole))
    assert commands(typer.main.get_command(app)) == listed  # type: ignore[arg-type]


@pytest.mark.parametrize("target", re.findall(r"^([a-z]+):.*?## \w", MAKEFILE, re.MULTILINE))
def test_every_make_target_can_be_planned(target: str) -> None:
    """Catches a target that names a file or a variable which is not there."""
    result = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_files_that_the_readme_links_to_exist() -> None:
    """Catches dead links."""
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
    for folder in re.findall(r"^\| `([a-z_]+/)`", README, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


def test_the_worked_example_is_refreshed_by_what_changed(
    server18: TestServer, tmp_path: Path
) -> None:
    """An example that does not run, or that a reader copies and gets wrong numbers from."""
    text = (ROOT / "README.md").read_text().partition("## Adding a mart")[2]
    example = text.partition("```sql\n")[2].partition("```")[0]
    assert "in_dirty" in example, "the first SQL under `Adding a mart` is the example"
    for part in ("models", "macros", "seeds", "dbt_project.yml", "profiles.yml"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tmp_path / part)
    (tmp_path / "models" / "intermediate" / "endpoints_daily.sql").write_text(example)
    url = server18.database()
    info = psycopg.conninfo.conninfo_to_dict(url)
    environment = os.environ | {
        "DBT_TARGET": "prod",
        "PGHOST": info["host"],
        "PGPORT": info["port"],
        "PGUSER": "postgres",
        "PGDATABASE": info["dbname"],
        "DBT_TARGET_PATH": str(tmp_path / "target"),
    }

    def dbt(*arguments: str) -> None:
        result = subprocess.run(
            [str(Path(sys.executable).parent / "dbt"), "--quiet", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout

    with psycopg.connect(url, autocommit=True) as connection:
        dbt("seed")
        dbt("run", "--select", "+endpoints_daily")
        connection.execute(
            """
            with trace as (
                insert into traceability.execution_traces
                    (correlation_id, root_id, session_id, source, started_at, status)
                select id, id, id, 'user_prompt', '2026-03-01 10:00+00', 'in_progress'
                from gen_random_uuid() as id
                returning id
            )
            insert into traceability.endpoint_calls
                (trace_id, service, endpoint_url, method, started_at, success)
            select trace.id, 'RAG', '/', 'GET', '2026-03-01 23:59:59+00', number = 1
            from trace, generate_series(1, 3) as number
            """
        )
        dbt("run", "--select", "endpoints_daily")
        found = connection.execute(
            "select usage_date::text, service, calls, successes from intermediate.endpoints_daily"
        ).fetchall()
        assert found == [("2026-03-01", "RAG", 3, 1)]
        what = connection.execute(
            "select period::text, rows_after from ops.refreshed_periods"
            " where target = 'intermediate.endpoints_daily'"
        ).fetchall()
        assert what == [("2026-03-01", 1)]


def test_the_commands_of_the_lifecycle_do_what_it_says(
    server18: TestServer, build_marts: Callable[..., None], tmp_path: Path
) -> None:
    """Commands that a reader types at the one moment when they must not fail."""
    url = server18.database()
    types = ["--resource-type", "seed", "--resource-type", "model"]
    build_marts(url, ["retention_policies", "stg_observability__spans", *types])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select ops.create_month_partitions('observability.spans', '2025-03-01', '2025-03-01')"
        )
        for table, row in ROWS.items():
            moved = {"started_at": "2025-03-05 10:00+00", "completed_at": None}
            is_moved = table in ("observability.traces", "observability.spans")
            insert(connection, table, row | (moved if is_moved else {}))
        connection.execute("update observability.spans set model = 'gpt-4.1'")
    block = README.partition("## Lifecycle")[2].partition("```sh\n")[2].partition("```")[0]
    told = []
    for line in block.splitlines():
        _, *arguments = shlex.split(line)
        if arguments[:2] in (["retention", "plan"], ["retention", "enforce"]):
            arguments += ["--as-of", "2026-11-01"]
        result = subprocess.run(
            [sys.executable, "-m", "orchestration.cli", *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ
            | {"AGENTBOOKS_DATABASE_URL": url, "AGENTBOOKS_ARCHIVE_URL": str(tmp_path)},
        )  # fmt: skip
        assert result.returncode == 0, f"{line}: {result.stderr}{told[-1:]}"
        told.append(result.stdout)
    assert re.search(r"observability\.spans +archive +1 ", told[1])
    for table in ("observability.spans", "observability.traces"):
        assert f"{table}: archive 1, leave 1" in told[2]
    [span] = csv.DictReader(told[3].splitlines())
    assert span["model_recorded"] == "gpt-4.1"
    assert "1 rows are back" in told[4]
    assert "1 rows are back" in told[5]
