"""What calls cost in SQL is what genai-prices' own `calc_price` says, on a grid of all models and edges."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from genai_prices.data import providers
from genai_prices.types import Usage

from orchestration import prices
from orchestration.dbt import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer

    Call = tuple[str, str, str, datetime, int, int, int, int, int, Decimal]

# Shares of the input that are read from and written to a cache, and of the output that is thought.
MIXES = [(0, 0, 0), (1, 0, 1), (Decimal("0.25"), Decimal("0.5"), Decimal("0.5"))]


def grid() -> Iterator[Call]:
    """Calls of every priced model at both sides of each of its dates, hours and sizes."""
    rows: dict[tuple[str, str], list[prices.Price]] = prices.newest_editions(prices.read_prices())
    for provider in providers:
        for name, model in dict(prices._book(provider, providers)).items():
            of_model = rows.get((provider.id, name))
            if of_model is None:
                continue
            moments = _moments(of_model)
            tiers = {row.tier_above_input_tokens for row in of_model} - {0}
            sizes = {0, 1_000_003, *tiers, *(tier + 1 for tier in tiers)}
            for moment, size, (cached, written, thought) in product(moments, sizes, MIXES):
                output = size // 7 + 4
                counts = (int(size * cached), int(size * written), output, int(output * thought))
                usage = Usage(
                    input_tokens=size,
                    cache_read_tokens=counts[0],
                    cache_write_tokens=counts[1],
                    output_tokens=counts[2],
                    output_reasoning_tokens=counts[3],
                )
                price = model.calc_price(usage, provider, genai_request_timestamp=moment)
                yield (
                    provider.id,
                    name,
                    f"{provider.id}/{name}",
                    moment,
                    size,
                    *counts,
                    price.total_price,
                )


def _moments(rows: list[prices.Price]) -> set[datetime]:
    days = {row.valid_from for row in rows if row.valid_from} | {"2020-01-01"}
    times = {row.time_from_utc for row in rows if row.time_from_utc} | {"00:00:00"}
    edges = {datetime.fromisoformat(f"{day}T{at}+00:00") for day in days for at in times}
    long_after = datetime(2035, 6, 1, 11, 30, tzinfo=UTC)
    return edges | {edge - timedelta(microseconds=1) for edge in edges} | {long_after}


@pytest.fixture(scope="module")
def priced(
    server18: TestServer, build_marts: Callable[..., None]
) -> Iterator[psycopg.Connection[Any]]:
    """The grid's calls as int_llm_calls__priced prices them, in a temporary table."""
    url = server18.database()
    build_marts(
        url, ["+int_llm_calls__priced", "--resource-type", "seed", "--resource-type", "model"]
    )
    compiled = (
        TARGET / "compiled/agentbooks/models/intermediate/costs/int_llm_calls__priced.sql"
    ).read_text()
    for relation, table in (("int_llm_calls__unioned", "calls"), ("int_models__matched", "models")):
        compiled, replaced = re.subn(
            rf'"\w+"\."intermediate"\."{relation}"', f"pg_temp.{table}", compiled
        )
        assert replaced == 1, relation
    with psycopg.connect(url) as connection:
        connection.execute(
            "create temp table models"
            " (provider text, model text, model_recorded text, usage_date date)"
        )
        connection.execute(
            "create temp table calls (llm_call_id int, source_system text, run_id text,"
            " called_at timestamptz, payer text, model_recorded text, duration_ms numeric,"
            " input_tokens numeric, cached_input_tokens numeric, cache_write_tokens numeric,"
            " output_tokens numeric, reasoning_tokens numeric, unsplit_tokens numeric,"
            " reported_cost_usd numeric)"
        )
        connection.execute("create temp table expected (llm_call_id int, cost_usd numeric)")
        calls = list(grid())
        with connection.cursor().copy("copy models from stdin") as copy:
            for row in {
                (provider, model, name, at.date()) for provider, model, name, at, *_ in calls
            }:
                copy.write_row(row)
        with connection.cursor().copy(
            "copy calls (llm_call_id, called_at, model_recorded, input_tokens, cached_input_tokens,"
            " cache_write_tokens, output_tokens, reasoning_tokens) from stdin"
        ) as copy:
            for number, (_, _, name, at, *counts, _) in enumerate(calls):
                copy.write_row((number, at, name, *counts))
        with connection.cursor().copy("copy expected from stdin") as copy:
            for number, call in enumerate(calls):
                copy.write_row((number, call[-1]))
        connection.execute("analyze calls; analyze models; analyze expected")
        connection.execute(f"create temp table priced as {compiled}".encode())
        yield connection
        connection.rollback()


def test_computed_costs_are_those_of_the_package(priced: psycopg.Connection[Any]) -> None:
    """A tier, a cache, a period or an hour that SQL reads otherwise than the package does."""
    differing = priced.execute(
        "select model_recorded, called_at, input_tokens, cached_input_tokens, cache_write_tokens,"
        " output_tokens, reasoning_tokens, computed_cost_usd, expected.cost_usd"
        " from priced inner join expected using (llm_call_id)"
        " where abs(computed_cost_usd - expected.cost_usd) > 1e-9 or computed_cost_usd is null limit 5"
    ).fetchall()
    assert not differing
    compared = priced.execute(
        "select count(*), count(distinct model_recorded), count(*) filter (where expected.cost_usd > 0)"
        " from priced inner join expected using (llm_call_id)"
    ).fetchone()
    assert compared is not None
    cases, models, charged = compared
    assert cases >= 20_000
    assert models > 2_000
    assert charged > 20_000, "a grid of free calls proves nothing"


def test_components_add_up_to_the_cost(priced: psycopg.Connection[Any]) -> None:
    """A component that the sum leaves out, or that is in it twice."""
    found = priced.execute(
        "select count(*), count(*) filter (where request_cost_usd > 0),"
        " count(*) filter (where reasoning_cost_usd > 0 and cache_write_cost_usd > 0)"
        " from priced where computed_cost_usd = input_cost_usd + cached_input_cost_usd"
        " + cache_write_cost_usd + output_cost_usd + reasoning_cost_usd + request_cost_usd"
    ).fetchone()
    assert found is not None
    total = priced.execute("select count(*) from priced").fetchone()
    assert total == (found[0],)
    assert min(found) > 0
