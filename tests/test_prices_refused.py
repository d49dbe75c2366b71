"""Prices that cannot be meant are refused, by a sentence that names the row."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from conftest import ROOT

from orchestration.dbt import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer

TESTS = ("assert_prices_can_be_taken", "assert_one_price_holds")
# Each is one value of this row that is wrong.
GOOD = {"provider": "openai", "model": "gpt-4.1", "component": "input", "usd_per_million": 1}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"usd_per_million": -1}, "is negative"),
    ({"usd_per_million": 100_001}, "is absurd: 100001 USD for a million, more than ten cents for one token"),
    ({"component": "request", "usd_per_million": 200_000_000}, "more than 100 USD for one call"),
    ({"component": "tokens"}, "is of an unknown unit"),
    ({"component": "input_audio"}, "is of an unknown unit"),
    ({"component": None}, "is of an unknown unit"),
    ({"model": None}, "names no model"),
    ({"usd_per_million": None}, "must have either usd_per_million or a discount"),
    ({"discount": 0.1}, "must have either usd_per_million or a discount"),
    ({"usd_per_million": None, "discount": 15}, "has a discount of 15: give the share"),
    ({"valid_from": "2026-02-01", "valid_to": "2026-02-01"}, "ends on 2026-02-01, before it begins"),
    ({"time_from_utc": "22:00", "time_to_utc": "06:00"}, "two rows where it goes past midnight"),
    ({"time_from_utc": "22:00"}, "give both"),
    ({"tier_above_input_tokens": -1}, "has a tier above a negative number of tokens"),
    ({"provider": None}, "could be that of 2 providers: fill in the column provider"),
    ({"provider": None, "model": "house-1"}, "is of a model that the book does not know"),
    (
        {"provider": "house", "model": "house-1", "usd_per_million": None, "discount": 0.1},
        "is a discount off a price that the book does not have",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def url(server18: TestServer, build_marts: Callable[..., None]) -> str:
    """A database with the seeds, which pass the tests."""
    url = server18.database()
    build_marts(url, ["+int_prices__tiered", *TESTS, "--indirect-selection", "empty"])
    return url


@pytest.fixture
def seeds(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction on the seeds, rolled back at the end."""
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


def add(seeds: psycopg.Connection[Any], row: dict[str, Any], seed: str = "own_prices") -> None:
    """Add a row to a seed, as dbt does from the file."""
    columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
    statement = f"insert into seeds.{seed} ({columns}) values ({places})"
    seeds.execute(statement.encode(), list(row.values()))


def faults(seeds: psycopg.Connection[Any], test: str = TESTS[0]) -> list[str]:
    """What a test says."""
    compiled = (TARGET / f"compiled/agentbooks/tests/{test}.sql").read_text()
    return [fault for (fault,) in seeds.execute(compiled.encode()).fetchall()]


@pytest.mark.parametrize(("wrong", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_each_bad_price_is_named(
    seeds: psycopg.Connection[Any], wrong: dict[str, Any], sentence: str
) -> None:
    """A typing error that makes costs negative, a thousand times too high, or somebody else's."""
    add(seeds, GOOD | wrong)
    (fault,) = faults(seeds)
    named = GOOD | wrong
    assert f"own_prices of {named['provider'] or '?'}/{named['model'] or '?'}" in fault
    assert sentence in fault
    assert fault.endswith(".")


def test_the_books_own_rows_are_looked_at_too(seeds: psycopg.Connection[Any]) -> None:
    """A price book edited by hand, or a package with a slip in it."""
    add(
        seeds,
        GOOD | {"usd_per_million": -1, "tier_above_input_tokens": 0, "source": "-"},
        "model_prices",
    )
    (fault,) = faults(seeds)
    assert "model_prices of openai/gpt-4.1" in fault


@pytest.mark.parametrize(
    ("second", "overlaps"),
    [
        ({"valid_from": "2026-02-01"}, True),
        ({"valid_from": "2026-03-01"}, False),
        ({"component": "output"}, False),
        ({"known_from": "2026-02-01 00:00+00"}, False),
        ({"provider": "azure"}, False),
    ],
)
def test_two_prices_at_once_are_named(
    seeds: psycopg.Connection[Any], second: dict[str, Any], overlaps: bool
) -> None:
    """Which of two prices a call is billed by would be chance."""
    add(seeds, GOOD | {"valid_to": "2026-03-01"})
    add(seeds, GOOD | second)
    found = faults(seeds, TESTS[1])
    assert len(found) == overlaps
    assert all(
        "openai/gpt-4.1, component input, in own_prices hold at once" in each for each in found
    )


def test_dbt_tells_the_sentence(url: str, tmp_path: Path) -> None:
    """Dbt alone says "Got 1 result": the user would have to find the row himself."""
    with psycopg.connect(url) as connection:
        add(connection, GOOD | {"usd_per_million": -1})
    info = psycopg.conninfo.conninfo_to_dict(url)
    places = {"PGHOST": info["host"], "PGPORT": info["port"], "PGDATABASE": info["dbname"]}
    result = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "test"),
            *("--select", TESTS[0], "--target-path", str(tmp_path)),
        ],
        cwd=ROOT,
        env=os.environ | {"PGUSER": "postgres", "DBT_TARGET": "prod"} | places,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert (
        "assert_prices_can_be_taken: the price in own_prices of openai/gpt-4.1, component input,"
        " valid from ever, known from ever, is negative." in result.stdout
    ), result.stdout
