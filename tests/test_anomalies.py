"""cost_anomalies finds what was done to made-up costs, leaves the rest in peace, and refreshes exactly."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from cost_series import (
    FIRST_DAY,
    MODELS,
    added,
    clear,
    flagged,
    judge,
    refresh,
    simulated,
    write,
    write_series,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refreshing import Refresher

WEEK = (1.0, 1.1, 1.0, 0.9, 1.2, 0.3, 0.05)


@pytest.fixture(scope="module")
def refresher(empty_marts: Callable[[], Refresher]) -> Refresher:
    """A database whose marts are built, and empty."""
    return empty_marts()


@pytest.fixture
def marts(refresher: Refresher) -> Iterator[psycopg.Connection[Any]]:
    """A connection to that database, whose costs are taken out at the end."""
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        refresh(connection, refresher, is_full=True)
        yield connection
        clear(connection)


def rhythm(days: int, growth: float = 0.0, level: float = 100.0) -> list[float]:
    """Costs with weekly rhythm, growth, and a little noise that is the same each time."""
    chance = random.Random(days)  # noqa: S311 not for secrets
    return [
        level * WEEK[day % 7] * (1 + growth) ** day * chance.uniform(0.9, 1.1)
        for day in range(days)
    ]


def test_weekly_rhythm_and_growth_are_no_anomalies(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """Alarms each Saturday, or each day of a company that grows."""
    write_series(marts, {"grows": rhythm(250, growth=0.01), "shrinks": rhythm(250, growth=-0.01)})
    refresh(marts, refresher)
    assert flagged(marts, "workflow") == {}
    assert flagged(marts, "total") == {}


def test_known_anomalies_are_found_among_noise(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """Thresholds that find nothing, or cry wolf. Figures of many more series: benchmarks.anomalies."""
    series = {str(number): one for number, one in enumerate(simulated(60, days=260, seed=1))}
    write_series(marts, {name: one.costs for name, one in series.items()})
    refresh(marts, refresher, at_any_price=True)
    score = added(judge(series, flagged(marts, "workflow")).values())
    assert score.false_alarms_per_1000_days < 6
    assert score.precision > 0.6
    assert score.recall("none") > 0.9
    assert score.recall("x3") > 0.5


def test_a_new_level_is_an_anomaly_for_a_few_days(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A team that doubles its use, and has an alarm each day from then on."""
    costs = rhythm(250)
    costs[150:] = [3 * cost for cost in costs[150:]]
    write_series(marts, {"w": costs})
    refresh(marts, refresher)
    found = flagged(marts, "workflow")["w"]
    assert set(found.values()) == {"high"}
    assert 150 in found
    assert max(found) < 157


def test_a_day_that_is_not_over_is_not_low(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """An alarm each morning, because the day has just begun; and a fall that is never told of."""
    costs = rhythm(201)
    costs[200] /= 10
    write_series(marts, {"w": costs})
    refresh(marts, refresher)
    assert flagged(marts, "workflow") == {}
    write_series(marts, {"w": [0] * 201 + rhythm(202)[201:]})
    refresh(marts, refresher)
    assert flagged(marts, "workflow") == {"w": {200: "low"}}


def test_a_day_on_which_nothing_ran_is_found_once_something_runs(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """An outage that nobody sees, as a day without rows has none to flag."""
    costs = rhythm(210)
    costs[200] = costs[201] = 0
    write_series(marts, {"w": costs[:201]})
    refresh(marts, refresher)
    assert flagged(marts, "total") == {}
    write_series(marts, {"w": costs})
    refresh(marts, refresher)
    assert flagged(marts, "total") == {"total": {200: "low", 201: "low"}}


def test_scopes_that_cost_little_or_run_rarely_are_not_judged(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A flood of alarms over cents, and over each run of what runs once a week."""
    cheap = [cost / 1000 for cost in rhythm(200)]
    cheap[180] *= 20
    rare = [100.0 if day % 7 == 0 else 0 for day in range(200)]
    rare[182] = 1000.0
    write_series(marts, {"large": rhythm(200, level=1000), "cheap": cheap, "rare": rare})
    refresh(marts, refresher)
    assert flagged(marts, "workflow") == {}


def test_the_part_that_departs_is_named(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """The largest part blamed for what a small one did, or any part for what all did alike."""
    costs = rhythm(200)
    write(
        marts,
        (
            {
                "usage_date": FIRST_DAY + timedelta(day),
                "workflow": workflow,
                "agent_key": agent,
                "user_key": user,
                "cost_usd": round(cost * share, 6)
                * (20 if (day, user) == (180, "bob") else 3 if day == 190 else 1),
            }
            for day, cost in enumerate(costs)
            for workflow, agent, user, share in (
                ("large", "one", "ann", 0.6),
                ("large", "two", "ann", 0.3),
                ("small", "one", "ann", 0.05),
                ("small", "one", "bob", 0.05),
            )
        ),
    )
    refresh(marts, refresher)
    explained = {
        day: rest
        for day, *rest in marts.execute(
            "select usage_date - %s, explained_by, explained_by_key, round(explained_share)"
            " from marts.cost_anomalies where scope_kind = 'total'",
            (FIRST_DAY,),
        )
    }
    assert explained == {180: ["user", "bob", 1], 190: [None, None, None]}


def test_an_incremental_refresh_equals_a_rebuild(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A day that is judged by a history that has changed since: rows that come late, change, or go."""
    chance = random.Random(3)  # noqa: S311 not for secrets
    names = ("a", "b", "c")
    write_series(marts, {name: rhythm(260, level=10 * n + 5) for n, name in enumerate(names)})
    refresh(marts, refresher)
    seen = set()
    for _ in range(25):
        day, length = chance.randrange(-60, 300), chance.choice((1, 1, 3, 40))
        dates = (FIRST_DAY + timedelta(day), FIRST_DAY + timedelta(day + length))
        if chance.random() < 0.5:
            condition = "usage_date >= %s and usage_date < %s and workflow = any(%s)"
            gone = (*dates, list(names[: chance.randrange(1, 4)]))
            marts.execute(
                "insert into ops.changes (table_name, keys) select distinct 'marts.cost_daily',"
                f" jsonb_build_object('day', usage_date) from marts.cost_daily where {condition}".encode(),
                gone,
            )
            marts.execute(f"delete from marts.cost_daily where {condition}".encode(), gone)
        else:
            write(
                marts,
                [
                    {
                        "usage_date": dates[0] + timedelta(shift),
                        "workflow": chance.choice(names),
                        "agent_key": chance.choice(names),
                        "cost_usd": chance.choice((1, 30, 200)),
                    }
                    for shift in range(length)
                ],
            )
        refresh(marts, refresher)
        refreshed = refresher.rows(marts)
        refresh(marts, refresher, is_full=True)
        rebuilt = refresher.rows(marts)
        for model in MODELS:
            assert refreshed[model] == rebuilt[model], (
                f"{model} after {dates}: {refreshed[model] ^ rebuilt[model]}"
            )
        seen |= set(rebuilt["marts.cost_anomalies"])
    assert len(seen) > 30, "make changes that lead to anomalies"
