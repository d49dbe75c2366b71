"""Forecasts of daily costs, 1 to 90 days ahead, with intervals that backtests have measured.

A series is forecast from every twelfth or so of its own days (rolling origins), by every method. The
method with the smallest absolute error is taken, the combination unless another is clearly better, and
seasonal naive where none beats it. The errors of the one taken make the intervals (conformal): each is
measured in units of the forecast itself and of what is usual so many days ahead, and as many
units are taken as cover 80 and 95 in 100 of them. Sums over the days ahead are treated alike, as errors
of neighbouring days neither cancel out nor add up.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Costs = NDArray[np.float64]

MOST_DAYS = 90
WEEK = 7
LONGEST_HISTORY = 400  # what is older says nothing about a level, and takes time
SHORTEST_BACKTEST = 10
SHORTEST_SPREAD = 3
ORIGINS = 12
OLDEST_ORIGIN = 180
POOL_FROM = 60  # fewer series are forecast before the processes have started
LEVELS = (80, 95)
# How many days of errors are worth one independent error, and how many errors as long as the whole
# history; by level, as measured (see DECISIONS.md).
DAYS_PER_ERROR = {80: 5.0, 95: 8.0}
ERRORS_PER_SPAN = {80: 16.0, 95: 2.5}
TOO_SHORT = "mean"
COMBINATION = "combination"
SEASONAL_NAIVE = "seasonal_naive"
CLEARLY = 0.9  # how small another method's error must be, relative to the combination's


class Interval(NamedTuple):
    """Lower and upper bound per day ahead, in USD; NaN where the history is too short to tell."""

    low: Costs
    high: Costs

    def times(self, factor: float) -> Interval:
        """Give the interval of so many times the cost."""
        return Interval(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Forecast:
    """What a series is expected to cost, per day ahead, in USD.

    Attributes:
        method: What made it; `mean` says that the history is too short for anything else.
        history_days: How long the history is, at most 400.
        naive_error: Mean absolute error of "as a week before" over the history; NaN below 8 days.
        yhat: Expected cost of each day.
        intervals: By level in percent.
        total_intervals: Those of the sum of all days up to each.
    """

    method: str
    history_days: int
    naive_error: float
    yhat: Costs
    intervals: dict[int, Interval]
    total_intervals: dict[int, Interval]

    def times(self, factor: float) -> Forecast:
        """Give the forecast of so many times the cost."""
        return Forecast(
            self.method,
            self.history_days,
            self.naive_error * factor,
            self.yhat * factor,
            {level: interval.times(factor) for level, interval in self.intervals.items()},
            {level: interval.times(factor) for level, interval in self.total_intervals.items()},
        )


def forecast_all(
    histories: Sequence[Costs], days: int, workers: int | None = None
) -> list[Forecast]:
    """Forecast many series, on all cores where there are many.

    Args:
        histories: Costs per day without gaps, each to the day before the first one forecast.
        days: Days ahead.
        workers: Processes; by default as many as there are cores.
    """
    work = partial(forecast, days=days)
    if len(histories) < POOL_FROM:
        return [work(history) for history in histories]
    # Spawned, as a fork of a process with threads may hang.
    with ProcessPoolExecutor(workers or os.cpu_count(), get_context("spawn")) as pool:
        return list(pool.map(work, histories, chunksize=8))


def forecast(history: Costs, days: int) -> Forecast:
    """Forecast one series; the same history gives the same forecast.

    Args:
        history: Costs per day without gaps, not negative, at least one.
        days: Days ahead.
    """
    history = history[-LONGEST_HISTORY:]
    # Models have thresholds of their own, which a series in millionths of a dollar would fall below.
    largest = float(history.max()) or 1.0
    history = history / largest
    backtests = backtest(history, days)
    method = choose(history, backtests) if backtests else TOO_SHORT
    made = {origin: made[method] for origin, made in backtests.items()}
    return fit(history, days, method, made).times(largest)


def backtest(history: Costs, days: int) -> dict[int, dict[str, Costs]]:
    """Forecast from earlier days of the history with all methods; empty if it is too short.

    Returns:
        Forecasts up to the history's end by number of days known and method.
    """
    length = len(history)
    if length < SHORTEST_BACKTEST:
        return {}
    first = max(min(2 * WEEK, max(WEEK, length // 2)), length - days - OLDEST_ORIGIN)
    origins = sorted(set(np.linspace(first, length - 1, ORIGINS).round().astype(int).tolist()))
    return {origin: candidates(history[:origin], min(days, length - origin)) for origin in origins}


def choose(history: Costs, backtests: dict[int, dict[str, Costs]]) -> str:
    """Name the method whose backtests were best: see the head of this module."""
    errors = {
        method: sum(
            float(np.abs(made[method] - history[origin : origin + len(made[method])]).sum())
            for origin, made in backtests.items()
        )
        for method in CANDIDATES
    }
    best = min(errors, key=lambda method: errors[method])
    is_clear = errors[best] < CLEARLY * errors[COMBINATION]
    if not is_clear and errors[COMBINATION] < errors[SEASONAL_NAIVE]:
        return COMBINATION
    return best if errors[best] < errors[SEASONAL_NAIVE] else SEASONAL_NAIVE


def fit(history: Costs, days: int, method: str, backtests: dict[int, Costs]) -> Forecast:
    """Forecast with a chosen method, and put intervals around by what its backtests missed.

    Args:
        history: As in `forecast`.
        days: Days ahead.
        method: A name in CANDIDATES, or `mean`.
        backtests: Its forecasts up to the history's end by number of days known.
    """
    naive_errors = np.abs(history[WEEK:] - history[:-WEEK])
    naive_error = float(naive_errors.mean()) if len(naive_errors) else float("nan")
    if method == TOO_SHORT:
        yhat = np.full(days, history.mean())
        intervals, totals = _spread(history, days)
    else:
        yhat = candidates(history, days)[method]
        missed = np.full((len(backtests), days), np.nan)
        units = missed.copy()
        smallest = max(float(history[-8 * WEEK :].mean()) / 10, 1e-9)
        for row, (origin, made) in enumerate(backtests.items()):
            missed[row, : len(made)] = history[origin : origin + len(made)] - made
            units[row, : len(made)] = np.maximum(made, smallest)
        span = len(history) - min(backtests)
        ahead = np.maximum(yhat, smallest)
        intervals = _conformal(missed, units, yhat, ahead, span)
        # Sums from neighbouring origins share most of their days: worth half as much.
        totals = _conformal(
            missed.cumsum(axis=1), units.cumsum(axis=1), yhat.cumsum(), ahead.cumsum(), span / 2
        )
    return Forecast(method, len(history), naive_error, yhat, intervals, totals)


def candidates(history: Costs, days: int) -> dict[str, Costs]:
    """Forecast with every method. None is negative, and none fails: each has something to fall back on."""
    weekdays = _weekday_profile(history, days)
    made = {
        SEASONAL_NAIVE: np.resize(history[-WEEK:], days),
        "run_rate": np.full(days, history[-MOST_DAYS:].mean()),
        "weekday_profile": weekdays,
    }
    # Nothing from nowhere: ten times what there ever was is a model that ran away.
    highest = 10 * float(history.max())
    for name, model in _models().items():
        try:
            with warnings.catch_warnings(action="ignore"):
                values = model(np.ascontiguousarray(history), days)
        except Exception:  # each model has refusals of its own for short or constant histories
            values = weekdays
        is_sane = bool(np.isfinite(values).all())
        made[name] = np.clip(values, 0, highest) if is_sane else weekdays
    members = [made[name] for name in (*_models(), "weekday_profile")]
    made[COMBINATION] = np.median(members, axis=0)
    return made


@cache
def _models() -> dict[str, Callable[[Costs, int], Costs]]:
    """Give the models of statsforecast that proved themselves, imported when first needed."""
    from statsforecast import models

    def forecaster(model: Any) -> Callable[[Costs, int], Costs]:
        return lambda history, days: np.asarray(model.forecast(y=history, h=days)["mean"], float)

    return {
        "theta": forecaster(models.DynamicOptimizedTheta(season_length=WEEK)),
        "complex_smoothing": forecaster(models.AutoCES(season_length=WEEK)),
        "weekday_smoothing": forecaster(models.SeasonalExponentialSmoothingOptimized(WEEK)),
    }


CANDIDATES = (
    SEASONAL_NAIVE,
    "run_rate",
    "weekday_profile",
    "theta",
    "complex_smoothing",
    "weekday_smoothing",
    COMBINATION,
)


def _weekday_profile(history: Costs, days: int) -> Costs:
    """Give each weekday its share in the last eight weeks, at the level of the last four.

    Shares are drawn towards even ones as if there were two more weeks of these.
    """
    recent = history[-8 * WEEK :]
    position = np.arange(len(history) - len(recent), len(history)) % WEEK
    shares = np.ones(WEEK)
    if recent.sum() > 0:
        counts = np.bincount(position, minlength=WEEK)
        sums = np.bincount(position, weights=recent / recent.mean(), minlength=WEEK)
        shares = (sums + 2) / (counts + 2)
    latest = history[-4 * WEEK :]
    level = latest.sum() / shares[position[-len(latest) :]].sum()
    return np.asarray(level * shares[np.arange(len(history), len(history) + days) % WEEK])


def _conformal(
    missed: Costs, units: Costs, yhat: Costs, ahead: Costs, span: float
) -> dict[int, Interval]:
    """Put intervals around a forecast by what backtests missed.

    Args:
        missed: Actual less forecast by origin and day ahead; NaN where the day is yet to come.
        units: What each is measured in.
        yhat: The forecast.
        ahead: What its errors are measured in.
        span: Days over which the origins lie: what all of them know together.
    """
    days = len(yhat)
    sizes = np.abs(missed / units)
    usual = _usual_sizes(sizes)
    scores = (missed / units / usual)[~np.isnan(sizes)]
    # Costs miss upwards farther than downwards: each side has a scale of its own.
    up, down = (max(2 * float(np.maximum(sign * scores, 0).mean()), 0.3) for sign in (1, -1))
    distances = np.where(scores > 0, scores / up, -scores / down)
    # Few errors, or at long horizons neighbours that are nearly the same one, tell little of the
    # tails: as with Student's t, by how many independent ones there are.
    horizon = np.arange(1, days + 1) / span
    intervals = {}
    for level in LEVELS:
        tail = (1 + level / 100) / 2
        freedom = 1 / (1 / (1 + span / DAYS_PER_ERROR[level]) + horizon / ERRORS_PER_SPAN[level])
        wider = _student(tail, np.maximum(freedom, 1.3)) / NormalDist().inv_cdf(tail)
        reach = np.quantile(distances, level / 100) * wider * usual * ahead
        intervals[level] = Interval(np.maximum(yhat - down * reach, 0), yhat + up * reach)
    return intervals


def _usual_sizes(sizes: Costs) -> Costs:
    """Give the mean size of errors per day ahead: smooth, never shrinking, grown by roots where unknown."""
    counts = (~np.isnan(sizes)).sum(axis=0)
    known = int((counts > 0).sum())
    sums = np.nansum(sizes, axis=0)
    usual = np.empty(sizes.shape[1])
    for day in range(known):
        window = slice((day + 1) // 2, 2 * day + 4)
        usual[day] = sums[window].sum() / max(counts[window].sum(), 1)
    usual[:known] = np.maximum.accumulate(np.maximum(usual[:known], 1e-9))
    usual[known:] = usual[known - 1] * np.sqrt(np.arange(known + 1, len(usual) + 1) / known)
    return usual


def _spread(history: Costs, days: int) -> tuple[dict[int, Interval], dict[int, Interval]]:
    """Put intervals around the mean of a few days, as wide as so few allow; NaN below three."""
    ahead = np.arange(1, days + 1)
    unknown = np.full(days, np.nan)
    count = len(history)
    if count < SHORTEST_SPREAD:
        nothing = dict.fromkeys(LEVELS, Interval(unknown, unknown))
        return nothing, nothing
    mean, deviation = history.mean(), history.std(ddof=1)
    intervals, totals = {}, {}
    for level in LEVELS:
        reach = float(_student((1 + level / 100) / 2, np.float64(count - 1))) * deviation
        one = np.full(days, reach * np.sqrt(1 + 1 / count))
        total = reach * np.sqrt(ahead + ahead**2 / count)
        intervals[level] = Interval(np.maximum(mean - one, 0), mean + one)
        totals[level] = Interval(np.maximum(ahead * mean - total, 0), ahead * mean + total)
    return intervals, totals


def _student(tail: float, freedom: Any) -> Any:
    from scipy.stats import t  # type: ignore[import-untyped]

    return t.ppf(tail, freedom)
