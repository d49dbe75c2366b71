"""The price seeds say what genai-prices says, and names resolve as they do there."""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ClauseAnd, ClauseOr, ClauseRegex, MatchLogic, TieredPrices
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration import prices
from orchestration.errors import AgentbooksError
from orchestration.prices import COMPONENTS, SEEDS, Price

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SNAPSHOT = DataSnapshot(providers=providers, from_auto_update=False)
RULES = prices.read_rules()


def looked_up(name: str) -> tuple[str, str] | None:
    """What genai-prices finds: first as LiteLLM's provider/model, then as a bare name."""
    for provider_id in ("litellm", None):
        try:
            provider, model = SNAPSHOT.find_provider_model(name, None, provider_id, None)
        except LookupError:
            continue
        return provider.id, model.id
    return None


def resolved(name: str) -> tuple[str, str] | None:
    """What our rules find, without the maker's name that tells two prices of one model apart."""
    found = prices.resolve(name, RULES)
    if found is None:
        return None
    provider_id, model = found
    maker, _, bare = model.partition("/")
    resold = next(each.fallback_model_providers for each in providers if each.id == provider_id)
    return provider_id, bare if maker in (resold or []) else model


def patterns(logic: MatchLogic) -> Iterator[str]:
    """The texts that a match rule looks for."""
    match logic:
        case ClauseOr(clauses) | ClauseAnd(clauses):
            for clause in clauses:
                yield from patterns(clause)
        case ClauseRegex():
            pass
        case _:
            yield next(iter(vars(logic).values()))


IDS = sorted({model.id for provider in providers for model in provider.models})
PREFIXES = [provider.id for provider in providers] + ["vertex_ai", "bedrock", "xai", "nobody"]
STEMS = sorted(
    {text for provider in providers for model in provider.models for text in patterns(model.match)}
)
SUFFIXES = ["", "-20251111", "-20250230", "-2025-08-07", "@20250101", "-tts", ":free", "-latest"]


def test_the_seeds_are_those_of_the_installed_package(tmp_path: Path) -> None:
    """An update of genai-prices without `agentbooks prices refresh` leaves old prices behind."""
    for name in (prices.PRICES, prices.ALIASES):
        shutil.copy(SEEDS / name, tmp_path)
    prices.refresh(tmp_path)
    for name in (prices.PRICES, prices.ALIASES):
        assert (SEEDS / name).read_bytes() == (tmp_path / name).read_bytes(), (
            "run `agentbooks prices refresh` and commit the seeds"
        )


def test_a_first_import_is_known_since_ever(tmp_path: Path) -> None:
    """Calls before the import would have no price, and cost nothing known."""
    added = prices.refresh(tmp_path)
    rows = prices.read_prices(tmp_path)
    assert added[tmp_path / prices.PRICES] == len(rows) > 7000
    assert {row.known_from for row in rows} == {""}


def test_a_refresh_adds_whole_lists_of_what_differs_and_rewrites_nothing(tmp_path: Path) -> None:
    """What calls were billed by would be lost, and a model's prices stand in two lists by halves."""
    prices.refresh(tmp_path)
    seed = tmp_path / prices.PRICES
    # Yesterday the book said something else of two models, nothing of a third, and more of a fourth.
    old = [
        row._replace(usd_per_million="1") if row[1:3] == ("gpt-4.1", "output") else row
        for row in prices.read_prices(tmp_path)
        if row.model != "gpt-4o"
    ]
    old.append(old[0]._replace(provider="anthropic", model="claude-0"))
    _write_prices(seed, old)
    before = seed.read_text()

    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    added = prices.refresh(tmp_path, known_from=noon, reason="announced")
    text = seed.read_text()
    assert text.startswith(before)
    new = prices.read_prices(tmp_path)[len(old) :]
    assert len(new) == added[seed]
    assert {row.model for row in new} == {"gpt-4.1", "gpt-4o"}
    assert {(row.known_from, row.reason) for row in new} == {
        ("2026-03-01 12:00:00+00", "announced")
    }
    editions = prices.newest_editions([*old, *new])
    assert {row.component for row in editions["openai", "gpt-4.1"]} == {
        *("input", "cached_input", "output")
    }
    assert editions["anthropic", "claude-0"][0].known_from == ""

    assert prices.refresh(tmp_path)[seed] == 0, "what is known already was added again"
    assert seed.read_text() == text


def test_an_edition_older_than_one_that_is_there_is_refused(tmp_path: Path) -> None:
    """An edition between two others would change what calls were billed by."""
    prices.refresh(tmp_path)
    old = [
        row._replace(usd_per_million="1", known_from="2026-03-01 12:00:00+00")
        if row.model == "gpt-4.1"
        else row
        for row in prices.read_prices(tmp_path)
    ]
    _write_prices(tmp_path / prices.PRICES, old)
    with pytest.raises(AgentbooksError, match="give a later --known-from"):
        prices.refresh(tmp_path, known_from=datetime(2026, 3, 1, 12, tzinfo=UTC))


def _write_prices(seed: Path, rows: list[Price]) -> None:
    with seed.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Price._fields)
        writer.writerows(rows)


def test_every_model_of_the_package_resolves_as_in_the_package() -> None:
    """A rule lost in the flattening sends a model to another one's price."""
    names = [*IDS, *(f"{each.id}/{model.id}" for each in providers for model in each.models)]
    differing = {n: (resolved(n), looked_up(n)) for n in names if resolved(n) != looked_up(n)}
    assert not differing


@settings(deadline=None)
@given(
    prefix=st.sampled_from(["", *(f"{prefix}/" for prefix in PREFIXES)]),
    stem=st.sampled_from(STEMS),
    suffix=st.sampled_from(SUFFIXES),
    shout=st.booleans(),
)
def test_made_up_names_resolve_as_in_the_package(
    prefix: str, stem: str, suffix: str, shout: bool
) -> None:
    """Real names carry prefixes, dates and other cases that no list of models holds."""
    name = f"{prefix}{stem}{suffix}"
    name = name.upper() if shout else name
    assert resolved(name) == looked_up(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-4.1-2025-04-14", ("openai", "gpt-4.1")),
        ("openai/gpt-4.1-mini", ("openai", "gpt-4.1-mini")),
        ("xai/grok-3", ("x-ai", "grok-3")),
        ("Claude-Sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        # Sold by Azure at OpenAI's price.
        ("azure/gpt-4o-2024-11-20", ("azure", "gpt-4o")),
        # Google has this model at its own price, but this name of it only at Anthropic's.
        ("vertex_ai/claude-3.5-sonnet", ("google", "anthropic/claude-3-5-sonnet")),
        # The rule is an `and`: begins with gemini-2.5-pro, and speaks no text.
        ("gemini-2.5-pro-preview-06-05", ("google", "gemini-2.5-pro")),
        ("gpt-5.4-20260305", ("openai", "gpt-5.4")),
        ("whissle", None),
        ("ollama_chat/qwen2.5:7b", None),
        ("", None),
        ("/", None),
    ],
)
def test_names_from_real_runs_resolve(name: str, expected: tuple[str, str] | None) -> None:
    """An unknown name is unpriced; a known one has one price."""
    assert prices.resolve(name, RULES) == expected


def test_every_priced_model_can_be_reached() -> None:
    """A price that no rule leads to is a mistake in one of the two files."""
    targets = {(rule.provider, rule.model) for group in RULES.values() for rule in group}
    assert {(row.provider, row.model) for row in read_prices()} <= targets


def test_prices_are_those_of_the_package_at_any_time_and_size() -> None:
    """Periods that overlap price a call twice; a gap leaves it without a price."""
    rows: dict[tuple[str, str], list[Price]] = defaultdict(list)
    for row in read_prices():
        rows[row.provider, row.model].append(row)
    for provider in providers:
        for model in provider.models:
            of_model = rows[provider.id, model.id]
            sizes = {row.tier_above_input_tokens for row in of_model} | {0}
            for moment in moments_around(of_model):
                price = model.get_prices(moment)
                for tokens in sizes | {size + 1 for size in sizes}:
                    found = prices_at(of_model, moment, tokens)
                    expected = {
                        component: price_for(getattr(price, key), tokens)
                        * (1000 if component == "request" else 1)
                        for key, component in COMPONENTS.items()
                        if getattr(price, key) is not None
                    }
                    assert found == expected, f"{provider.id}/{model.id}, {moment}, {tokens} tokens"


def moments_around(rows: list[Price]) -> set[datetime]:
    """Long before all and at both sides of every edge of the rows' periods."""
    days = {row.valid_from for row in rows if row.valid_from} | {"2020-01-01"}
    times = {row.time_from_utc for row in rows if row.time_from_utc} | {"00:00:00"}
    edges = {datetime.fromisoformat(f"{day}T{at}+00:00") for day in days for at in times}
    return edges | {edge - timedelta(microseconds=1) for edge in edges}


def prices_at(rows: list[Price], moment: datetime, tokens: int) -> dict[str, Decimal]:
    """The price of each component by the columns alone, as SQL finds it."""
    day, at = f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S.%f}"
    found: dict[str, Decimal] = {}
    tiers: set[tuple[str, int]] = set()
    for row in sorted(rows, key=lambda row: row.tier_above_input_tokens):
        if (
            (row.valid_from or day) <= day < (row.valid_to or "9999")
            and (not row.time_from_utc or row.time_from_utc <= at < row.time_to_utc)
            and (row.tier_above_input_tokens == 0 or tokens > row.tier_above_input_tokens)
        ):
            tier = (row.component, row.tier_above_input_tokens)
            assert tier not in tiers, f"two prices at {moment}: {row}"
            tiers.add(tier)
            found[row.component] = Decimal(row.usd_per_million)
    return found


def price_for(price: Decimal | TieredPrices, tokens: int) -> Decimal:
    """The package's price at a size of call."""
    if isinstance(price, Decimal):
        return price
    return [price.base, *(tier.price for tier in price.tiers if tokens > tier.start)][-1]


def read_prices() -> list[Price]:
    """The rows of the seed, of each model's newest edition."""
    return list(chain.from_iterable(prices.newest_editions(prices.read_prices()).values()))


def test_missing_seeds_are_told_in_a_sentence(tmp_path: Path) -> None:
    """A traceback does not say which command makes the file."""
    with pytest.raises(AgentbooksError, match="agentbooks prices refresh"):
        prices.read_rules(tmp_path)
    with pytest.raises(AgentbooksError, match="agentbooks prices refresh"):
        prices.read_prices(tmp_path)
