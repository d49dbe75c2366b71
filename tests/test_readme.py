"""What the README and the Makefile tell people to run is there to be run."""

from __future__ import annotations

import re
import subprocess

import pytest
import typer
from conftest import ROOT

from orchestration.cli import app

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
            listed.add(re.sub(r" (PATH|\[).*", "", whole))
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
