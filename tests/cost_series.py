"""Daily costs of made-up scopes with known anomalies, and how they get into the marts."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import exp
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg
    from refreshing import Refresher

FIRST_DAY = date(2025, 1, 6)  # a Monday
KINDS = ("steady", "noisy", "heavy tails", "growth", "level shifts", "sparse")
MODELS = (
    "marts.cost_by_tenant_daily",
    "marts.cost_by_scope_daily",
    "marts.cost_anomalies",
)


@dataclass
class Series:
    """Costs by day from FIRST_DAY on, and by day's index what was done to it: x2, x3, none, shift."""

    kind: str
    costs: list[float]
    anomalies: dict[int, str] = field(default_factory=dict)


def simulated(count: int, days: int, seed: int) -> list[Series]:
    """Make series with growth, weekly rhythm and noise, and anomalies from the 100th day on."""
    chance = random.Random(seed)  # noqa: S311 not for secrets
    return [_series(chance, KINDS[number % len(KINDS)], days) for number in range(count)]


def _series(chance: random.Random, kind: str, days: int) -> Series:
    level = exp(chance.gauss(2, 1.5))
    noise = {
        "steady": chance.uniform(0.03, 0.15),
        "noisy": chance.uniform(0.15, 0.4),
        "sparse": 0.4,
    }.get(kind, chance.uniform(0.05, 0.2))
    growth = chance.choice([0.01, 0.005, -0.005]) if kind == "growth" else chance.gauss(0, 0.001)
    weekend = chance.uniform(0.05, 0.6)
    week = chance.choice(
        [[1.0] * 7, [1.0] * 5 + [weekend] * 2, [exp(chance.gauss(0, 0.3)) for _ in range(7)]]
    )
    shifts = {}
    if kind == "level shifts":
        shifts = {chance.randrange(110, 190): 3.0, chance.randrange(210, days): 0.4}
    used = chance.uniform(0.1, 0.5) if kind == "sparse" else 1.0
    series = Series(kind, [])
    for day in range(days):
        if day in shifts:
            level *= shifts[day]
            series.anomalies[day] = "shift"
        # Student's t with three degrees of freedom: a day in a hundred is far out by itself.
        tail = (chance.gammavariate(1.5, 2) / 3) ** 0.5 if kind == "heavy tails" else 1
        cost = level * exp(growth * day + chance.gauss(0, noise) / tail) * week[day % 7]
        series.costs.append(cost if chance.random() < used or day == 0 else 0)
    for name, factor in (("x2", 2), ("x3", 3), ("none", 0)):
        free = [
            day
            for day in range(100, days - 1)
            if series.costs[day] and all(not 0 <= day - taken < 7 for taken in series.anomalies)
        ]
        if not (kind == "sparse" and factor == 0):
            day = chance.choice(free)
            series.costs[day] *= factor
            series.anomalies[day] = name
    return series


def write(connection: psycopg.Connection[Any], costs: Iterable[Mapping[str, Any]]) -> None:
    """Add rows to cost_daily, and tell those who read it; what a row leaves out is the same for all."""
    plain = {"workflow": "w", "agent_key": "a", "user_key": "u", "model": "m", "calls_unpriced": 0}
    rows = [plain | dict(row) for row in costs]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("create temp table new_costs (like marts.cost_daily) on commit drop")
        with cursor.copy(
            "copy new_costs (cost_daily_key, usage_date, source_system, tenant_key, workflow, agent_key,"
            " user_key, model, payer, runs, llm_calls, cost_usd, calls_reported, calls_computed,"
            " calls_unpriced) from stdin"
        ) as copy:
            for row in rows:
                key = "|".join(
                    str(row[part])
                    for part in ("usage_date", "workflow", "agent_key", "user_key", "model")
                )
                copy.write_row(
                    (
                        *(key, row["usage_date"], "s", "t", row["workflow"], row["agent_key"]),
                        *(row["user_key"], row["model"], "agent", 1, 1, row["cost_usd"], 1, 0),
                        row["calls_unpriced"],
                    )
                )
        cursor.execute(
            "insert into marts.cost_daily select * from new_costs on conflict (usage_date, cost_daily_key)"
            " do update set cost_usd = excluded.cost_usd"
        )
        cursor.execute(MARK.format("new_costs"))


# As the refresh of cost_daily would.
MARK = """
insert into ops.changes (table_name, keys)
select distinct 'marts.cost_daily', jsonb_build_object('day', usage_date) from {}
"""


def write_series(connection: psycopg.Connection[Any], costs: Mapping[str, list[float]]) -> None:
    """Add each series as a workflow of its own."""
    write(
        connection,
        (
            {
                "usage_date": FIRST_DAY + timedelta(index),
                "workflow": name,
                "cost_usd": round(cost, 6),
            }
            for name, series in costs.items()
            for index, cost in enumerate(series)
            if cost
        ),
    )


def clear(connection: psycopg.Connection[Any]) -> None:
    """Take all costs out again."""
    connection.execute(MARK.format("marts.cost_daily").encode())
    connection.execute("delete from marts.cost_daily")


def refresh(
    connection: psycopg.Connection[Any],
    refresher: Refresher,
    models: Iterable[str] = MODELS,
    *,
    is_full: bool = False,
    at_any_price: bool = False,
) -> None:
    """Refresh what stands on cost_daily, without computing that anew from raw rows."""
    for model in models:
        statement = refresher.statements[model]
        if at_any_price and model == "marts.cost_anomalies":
            statement, replaced = re.subn(r"greatest\(1, 0\.05 \*", "greatest(0, 0 *", statement)
            assert replaced == 1, "the floor of what an anomaly must be worth is written otherwise"
        refresher.run(connection, model, statement, is_full=is_full)


@dataclass
class Score:
    """How many of what was done was found, and how often something was that was not done."""

    days: int = 0
    false_alarms: int = 0
    done: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    @property
    def false_alarms_per_1000_days(self) -> float:
        """Alarms on days to which nothing was done, per thousand such days that were judged."""
        return 1000 * self.false_alarms / self.days

    @property
    def precision(self) -> float:
        """Share of the alarms that are due."""
        return self.found.total() / max(1, self.found.total() + self.false_alarms)

    def recall(self, name: str) -> float:
        """Share that was found of what was done."""
        return self.found[name] / self.done[name]


def judge(series: Mapping[str, Series], found: Mapping[str, Mapping[int, str]]) -> dict[str, Score]:
    """Compare the alarms with what was done, by kind of series. A new level may be one for a week."""
    scores = {kind: Score() for kind in KINDS}
    for name, one in series.items():
        score, alarms = scores[one.kind], found.get(name, {})
        score.done.update(one.anomalies.values())
        score.found.update(what for day, what in one.anomalies.items() if day in alarms)
        excused = {
            day + shift
            for day, what in one.anomalies.items()
            for shift in range(7 if what == "shift" else 1)
        }
        days = set(range(100, len(one.costs))) - excused
        score.days += len(days)
        score.false_alarms += len(days & set(alarms))
    return scores


def added(scores: Iterable[Score]) -> Score:
    """Add scores up."""
    whole = Score()
    for score in scores:
        whole.days += score.days
        whole.false_alarms += score.false_alarms
        whole.done += score.done
        whole.found += score.found
    return whole


def flagged(connection: psycopg.Connection[Any], scope_kind: str) -> dict[str, dict[int, str]]:
    """Read the anomalies of a kind of scope: by key, the index of the day and its direction."""
    found: dict[str, dict[int, str]] = {}
    for key, index, direction in connection.execute(
        "select scope_key, usage_date - %s, direction from marts.cost_anomalies"
        " where scope_kind = %s order by usage_date",
        (FIRST_DAY, scope_kind),
    ):
        found.setdefault(key, {})[index] = direction
    return found
