"""Daily costs of made-up series, to measure forecasts with: what comes after the history is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from orchestration.forecast import Costs

KINDS = ("steady", "trend", "weekly season", "level shift", "intermittent", "mixed", "short")
HISTORIES = (60, 90, 120, 180, 270, 365)


class SimulatedSeries(NamedTuple):
    """A series: what it shows, what is known of it, what comes then."""

    kind: str
    history: Costs
    future: Costs


def simulate_costs(count: int, days: int, seed: int) -> list[SimulatedSeries]:
    """Make series of each kind in turn; the same seed gives the same ones.

    Each has a level, noise in proportion to it (in half of them with a memory) and, by its kind, a
    trend, a weekly season, level shifts, any of these (mixed), or costs on few days (intermittent).
    Every seventh has single days that cost many times the usual.

    Args:
        count: How many.
        days: How many days come after each history.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    return [_series(KINDS[number % len(KINDS)], days, rng) for number in range(count)]


def _series(kind: str, days: int, rng: np.random.Generator) -> SimulatedSeries:
    known = int(rng.integers(14, 45)) if kind == "short" else int(rng.choice(HISTORIES))
    number = np.arange(known + days)
    costs = np.full(len(number), rng.lognormal(2, 1.5))
    if kind == "intermittent":
        is_used = rng.random(len(number)) < rng.uniform(0.05, 0.6)
        costs *= is_used * rng.lognormal(0, rng.uniform(0.2, 1), len(number))
    if kind in ("weekly season", "mixed") or (kind != "intermittent" and rng.random() < 0.5):
        weekdays = np.append(rng.uniform(0.8, 1.2, 5), rng.uniform(0.05, 0.8, 2))
        costs *= np.roll(weekdays, rng.integers(7))[number % 7]
    if kind == "trend" or (kind in ("mixed", "short") and rng.random() < 0.7):
        # Of the whole time, from a fall by three quarters to four times as much.
        growth = rng.uniform(-0.75, 3)
        is_even = rng.random() < 0.5
        share = number / len(number)
        costs *= 1 + growth * share if is_even else (1 + growth) ** share
    if kind == "level shift" or (kind == "mixed" and rng.random() < 0.7):
        for day in rng.integers(5, len(number), rng.poisson(1.5)):
            costs[day:] *= rng.lognormal(0, 0.7)
    noise = rng.normal(0, 1, len(number))
    memory = rng.uniform(0.2, 0.7) if rng.random() < 0.5 else 0
    for day in range(1, len(number)):
        noise[day] = memory * noise[day - 1] + np.sqrt(1 - memory**2) * noise[day]
    costs *= np.exp(rng.uniform(0.08, 0.5) * noise)
    if rng.random() < 1 / 7:
        is_outlier = rng.random(len(number)) < 0.01
        costs[is_outlier] *= rng.uniform(3, 8)
    return SimulatedSeries(kind, costs[:known], costs[known:])
