"""The price book: two seeds made from genai-prices, and how a recorded name finds its price.

`model_prices.csv` says what a million tokens of a component cost, when, and since when that was
known. What is known of a model is one list, its edition; a new one is added below the older ones,
which stay as they are. `model_aliases.csv` holds the rules that lead from a name as some agent
recorded it to a provider and a model of the book.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from genai_prices.types import MatchLogic, ModelInfo, ModelPrice, Provider

    Rules = Mapping[tuple[str, str], Sequence["Alias"]]

SEEDS = Path(__file__).resolve().parent.parent / "seeds"
PRICES = "model_prices.csv"
ALIASES = "model_aliases.csv"

# What a call's token counts can pay for. Cached and written tokens are part of the input tokens.
COMPONENTS = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "output_reasoning",
    "output_citation_mtok": "output_citation",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cached_input_audio",
    "output_audio_mtok": "output_audio",
    "input_image_mtok": "input_image",
    "cache_image_read_mtok": "cached_input_image",
    "output_image_mtok": "output_image",
    "input_video_mtok": "input_video",
    "output_video_mtok": "output_video",
    "requests_kcount": "request",
}
# Charges by what the raw schemas do not count: seconds, pages, characters, searches.
NOT_COUNTED = {
    "audio_hours",
    "input_audio_hours",
    "input_annotated_document_kpages",
    "input_document_kpages",
    "input_mchars",
    "input_text_messages_kcount",
    "storage_searches_kcount",
    "web_searches_kcount",
}

# PostgreSQL reads these differently from Python (\b is a backspace), or does not know them.
NOT_PORTABLE = re.compile(r"\\[bBAZ]|\(\?(?![:=!])")
# A date without dashes, as LiteLLM and OpenRouter write it in gpt-5.2-20251211.
COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")

Kind = Literal["equals", "starts_with", "ends_with", "contains", "regex"]
MatchOn = Literal["prefix", "name", "model"]


class Price(NamedTuple):
    """A row of `model_prices.csv`: what a component costs, when, from which size of a call on.

    For one moment and one size exactly one row of a component holds: the periods and the times of
    day do not overlap, and of the tiers below the call's input tokens the highest counts, for all
    tokens of the call.
    """

    provider: str
    model: str
    component: str
    valid_from: str  # UTC date; empty: since ever
    valid_to: str  # exclusive; empty: open
    time_from_utc: str  # empty: all day
    time_to_utc: str  # exclusive, up to 24:00
    tier_above_input_tokens: int  # cached tokens count; 0: the base price
    usd_per_million: str  # exact; of tokens, and for component `request` of requests
    source: str
    known_from: str = ""  # UTC moment, the same for the whole edition; empty: since it was in force
    reason: str = ""  # why there is a new edition

    @property
    def charge(self) -> tuple[object, ...]:
        """What the row says of the price itself, whoever said so and when."""
        return self[:9]


class Alias(NamedTuple):
    """A row of `model_aliases.csv`: one rule; `resolve` says how the rules work together."""

    match_on: MatchOn
    provider: str
    model: str  # empty unless match_on is `model`
    match_kind: Kind
    pattern: str  # lower case, but for a regex, which is written for lower-case text
    priority: int  # the lowest wins; counts within match_on, and for `model` within the provider

    def matches(self, text: str) -> bool:
        """Whether the rule holds for a text that is in lower case already."""
        match self.match_kind:
            case "equals":
                return text == self.pattern
            case "starts_with":
                return text.startswith(self.pattern)
            case "ends_with":
                return text.endswith(self.pattern)
            case "contains":
                return self.pattern in text
            case "regex":
                return re.search(self.pattern, text) is not None


def resolve(recorded_model: str, rules: Rules) -> tuple[str, str] | None:
    """Find the provider and the model of a recorded name, as genai-prices does.

    The name is compared in lower case. Two readings of it are tried, and the first that leads to a
    model wins:

    1. `provider/model`: what stands before the first slash names a provider by the rules that
       match on `prefix`; the rest names one of its models.
    2. The whole name leads to a provider by the rules that match on `name`, and names one of its
       models.

    Where several rules match, the lowest priority wins, and only that provider is asked: another
    one that knows the model too may charge another price. A provider's models are found by its own
    rules that match on `model`; if none does, they are asked once more with compact dates written
    out (`-20251211` as `-2025-12-11`).

    Args:
        recorded_model: The name as the source wrote it.
        rules: What `read_rules` returns.

    Returns:
        Provider and model as in `model_prices.csv` (which has no row for a model that is not priced
        by tokens), or None: then the price is unknown, not zero.
    """
    name = recorded_model.lower()
    prefix, slash, rest = name.partition("/")
    readings = [(rules["prefix", ""], prefix, rest)] if slash else []
    readings.append((rules["name", ""], name, name))
    for provider_rules, provider_name, model_name in readings:
        provider = _first(provider_rules, provider_name)
        if provider is None:
            continue
        model_rules = rules["model", provider.provider]
        model = _first(model_rules, model_name) or _first(model_rules, _with_dashes(model_name))
        if model is not None:
            return model.provider, model.model
    return None


def read_rules(seeds: Path = SEEDS) -> Rules:
    """Read `model_aliases.csv`: the rules by what they match on and, for `model`, by provider.

    Raises:
        AgentbooksError: The seed is missing or has other columns.
    """
    path = seeds / ALIASES
    rules: defaultdict[tuple[str, str], list[Alias]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                alias = Alias(**{**row, "priority": int(row["priority"])})  # type: ignore[arg-type]
                rules[alias.match_on, alias.provider if alias.model else ""].append(alias)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise AgentbooksError(
            f"The model aliases cannot be read from {path} ({error}): "
            "run `agentbooks prices refresh`."
        ) from error
    for group in rules.values():
        group.sort(key=lambda alias: alias.priority)
    return rules


def _first(rules: Iterable[Alias], text: str) -> Alias | None:
    return next((rule for rule in rules if rule.matches(text)), None)


def _with_dashes(name: str) -> str:
    def write_out(match: re.Match[str]) -> str:
        year, month, day = match.groups()
        try:
            return f"-{date(int(year), int(month), int(day))}"
        except ValueError:  # 31 June is no date
            return match.group()

    return COMPACT_DATE.sub(write_out, name)


def refresh(
    seeds: Path = SEEDS, known_from: datetime | None = None, reason: str = ""
) -> dict[Path, int]:
    """Bring both seeds up to date with the installed genai-prices.

    Of each model whose prices are not those of its newest edition, the whole list is added as a new
    one; a model that has left the package keeps its last. The aliases are written anew.

    Args:
        seeds: The folder of the seeds. Without prices there, all count as known since they were in
            force.
        known_from: From when on the new editions count, with a zone; the present second by default.
        reason: Why; the package's version by default.

    Returns:
        The number of rows that were added to the prices, and that the aliases have.

    Raises:
        AgentbooksError: The package has a charge or a rule that this module does not know, a newer
            edition is there already, or the files cannot be read or written.
    """
    from genai_prices import __version__
    from genai_prices.data import providers

    source = f"genai-prices {__version__}"
    moment = f"{(known_from or datetime.now(UTC)).astimezone(UTC):%Y-%m-%d %H:%M:%S}+00"
    path = seeds / PRICES
    known = newest_editions(read_prices(seeds)) if path.exists() else None
    offered: defaultdict[tuple[str, str], list[Price]] = defaultdict(list)
    for price in _prices(providers, source):
        offered[price.provider, price.model].append(price)
    added: list[Price] = []
    for model, prices in offered.items():
        if known is None:
            added += prices
            continue
        edition = known.get(model, [])
        if {price.charge for price in prices} == {price.charge for price in edition}:
            continue
        if edition and edition[0].known_from >= moment:
            raise AgentbooksError(
                f"The prices of {'/'.join(model)} have an edition known from "
                f"{edition[0].known_from} already: give a later --known-from than that."
            )
        added += [price._replace(known_from=moment, reason=reason or source) for price in prices]
    _write(path, Price._fields, added, append=known is not None)
    aliases = list(_aliases(providers))
    _write(seeds / ALIASES, Alias._fields, aliases)
    return {path: len(added), seeds / ALIASES: len(aliases)}


def read_prices(seeds: Path = SEEDS) -> list[Price]:
    """Read `model_prices.csv`, all editions.

    Raises:
        AgentbooksError: The seed is missing or has other columns.
    """
    path = seeds / PRICES
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                Price(**{**row, "tier_above_input_tokens": int(row["tier_above_input_tokens"])})  # type: ignore[arg-type]
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise AgentbooksError(
            f"The prices cannot be read from {path} ({error}): "
            "restore the file, or remove it and run `agentbooks prices refresh`."
        ) from error


def newest_editions(prices: Iterable[Price]) -> dict[tuple[str, str], list[Price]]:
    """The newest edition of each provider's model."""
    editions: defaultdict[tuple[str, str], dict[str, list[Price]]] = defaultdict(dict)
    for price in prices:
        of_model = editions[price.provider, price.model]
        of_model.setdefault(price.known_from, []).append(price)
    return {model: of_model[max(of_model)] for model, of_model in editions.items()}


def _write(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, append: bool = False
) -> None:
    """Write a seed, or the rows below those it has, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not append:
        writer.writerow(header)
    writer.writerows(rows)
    part = path.with_suffix(".part")
    try:
        before = path.read_text(encoding="utf-8") if append else ""
        part.write_text(before + text.getvalue(), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise AgentbooksError(
            f"The prices cannot be written to {path} ({error.strerror}): make it writable."
        ) from error


def _prices(providers: Sequence[Provider], source: str) -> Iterator[Price]:
    for provider in providers:
        for name, model in dict(_book(provider, providers)).items():
            for period in _periods(model):
                where = f"{provider.id}/{model.id}"
                for component, tier, amount in _components(period.price, where):
                    yield Price(
                        provider.id,
                        name,
                        component,
                        *period[:4],
                        tier,
                        f"{amount.normalize():f}",
                        source,
                    )


def _book(provider: Provider, providers: Sequence[Provider]) -> Iterator[tuple[str, ModelInfo]]:
    """Yield a provider's models by name in the order in which they are asked.

    Azure and Google resell models of others. Those follow its own, at their maker's price. Where
    both have a model of one name at two prices, the maker's is told apart as `maker/model`.
    """
    own = {model.id: model for model in provider.models}
    yield from own.items()
    by_id = {each.id: each for each in providers}
    for maker in provider.fallback_model_providers or []:
        for model in by_id[maker].models:
            clash = model.id in own and own[model.id].prices != model.prices
            yield f"{maker}/{model.id}" if clash else model.id, model


class _Period(NamedTuple):
    valid_from: str
    valid_to: str
    time_from_utc: str
    time_to_utc: str
    price: ModelPrice


def _periods(model: ModelInfo) -> Iterator[_Period]:
    """Cut a model's conditional prices into periods that do not overlap and leave no gap."""
    from genai_prices.types import ModelPrice, StartDateConstraint, TimeOfDateConstraint

    if isinstance(model.prices, ModelPrice):
        yield _Period("", "", "", "", model.prices)
        return
    starts: set[date] = set()
    times = {time.min}
    for conditional in model.prices:
        match conditional.constraint:
            case StartDateConstraint(start_date):
                starts.add(start_date)
            case TimeOfDateConstraint(start_time, end_time):
                times |= {_utc(start_time), _utc(end_time)}
    before_all = min(starts, default=date(2000, 1, 1)) - timedelta(days=1)
    for first, end in pairwise([None, *sorted(starts), None]):
        day = [
            (at, model.get_prices(datetime.combine(first or before_all, at, UTC)))
            for at in sorted(times)
        ]
        changes = [day[0], *(now for then, now in pairwise(day) if now[1] != then[1])]
        ends = [f"{at:%H:%M:%S}" for at, _ in changes[1:]] + ["24:00:00"]
        for (at, price), until in zip(changes, ends, strict=True):
            all_day = len(changes) == 1
            yield _Period(
                f"{first or ''}",
                f"{end or ''}",
                "" if all_day else f"{at:%H:%M:%S}",
                "" if all_day else until,
                price,
            )


def _utc(at: time) -> time:
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return datetime.combine(date(2000, 1, 2), aware).astimezone(UTC).time()


def _components(price: ModelPrice, where: str) -> Iterator[tuple[str, int, Decimal]]:
    from genai_prices.types import TieredPrices

    unknown = vars(price).keys() - COMPONENTS.keys() - NOT_COUNTED
    if unknown:
        raise AgentbooksError(
            f"genai-prices charges {where} by {sorted(unknown)[0]}, which has no component: "
            "add it to COMPONENTS or NOT_COUNTED in orchestration/prices.py."
        )
    for key, component in COMPONENTS.items():
        value: Decimal | TieredPrices | None = getattr(price, key)
        if value is None:
            continue
        # genai-prices quotes requests by the thousand, tokens by the million.
        factor = 1000 if component == "request" else 1
        if isinstance(value, TieredPrices):
            yield component, 0, value.base * factor
            for tier in value.tiers:
                yield component, tier.start, tier.price * factor
        else:
            yield component, 0, value * factor


def _aliases(providers: Sequence[Provider]) -> Iterator[Alias]:
    by_prefix: list[tuple[str, Kind, str]] = [(each.id, "equals", each.id) for each in providers]
    by_prefix += [
        (each.id, *rule)
        for each in providers
        if each.provider_match
        for rule in _rules(each.provider_match)
    ]
    by_name = [
        (each.id, *rule)
        for each in providers
        if each.model_match
        for rule in _rules(each.model_match)
    ]
    for priority, (provider_id, kind, pattern) in enumerate(by_prefix, 1):
        yield Alias("prefix", provider_id, "", kind, pattern, priority)
    for priority, (provider_id, kind, pattern) in enumerate(by_name, 1):
        yield Alias("name", provider_id, "", kind, pattern, priority)
    for provider in providers:
        by_model = [
            (name, *rule)
            for name, model in _book(provider, providers)
            for rule in _rules(model.match)
        ]
        for priority, (name, kind, pattern) in enumerate(by_model, 1):
            yield Alias("model", provider.id, name, kind, pattern, priority)


def _rules(logic: MatchLogic) -> Iterator[tuple[Kind, str]]:
    """Flatten a tree of `or` and `and` into rules of which one is enough."""
    for clauses in _alternatives(logic):
        if len(clauses) == 1:
            yield clauses[0]
        else:
            # All of several: each looks ahead from the start of the name.
            yield "regex", "^" + "".join(f"(?={_regex(*clause)})" for clause in clauses)


def _alternatives(logic: MatchLogic) -> Iterator[tuple[tuple[Kind, str], ...]]:
    from genai_prices import types

    match logic:
        case types.ClauseOr(clauses):
            for clause in clauses:
                yield from _alternatives(clause)
        case types.ClauseAnd(clauses):
            for choice in product(*map(_alternatives, clauses)):
                yield tuple(chain.from_iterable(choice))
        case types.ClauseEquals(text):
            yield (("equals", text.lower()),)
        case types.ClauseStartsWith(text):
            yield (("starts_with", text.lower()),)
        case types.ClauseEndsWith(text):
            yield (("ends_with", text.lower()),)
        case types.ClauseContains(text):
            yield (("contains", text.lower()),)
        case types.ClauseRegex(text):
            if NOT_PORTABLE.search(text):
                raise AgentbooksError(
                    f"genai-prices has the match rule {text}, which PostgreSQL reads otherwise: "
                    "teach orchestration/prices.py to rewrite it."
                )
            yield (("regex", text),)


def _regex(kind: Kind, pattern: str) -> str:
    match kind:
        case "equals":
            return f"{re.escape(pattern)}$"
        case "starts_with":
            return re.escape(pattern)
        case "ends_with":
            return f".*{re.escape(pattern)}$"
        case "contains":
            return f".*{re.escape(pattern)}"
        case "regex":
            return f".*(?:{pattern})"
