"""How good forecasts of costs are on made-up series, and how long 1,000 of them take.

Absolute error is relative to seasonal naive's, per series; coverage is the share of days, or of sums up
to a day, inside the intervals. Every kind of series is reported, and the worst ones by number. Times are
of final fits and of backtests apart, by the clock and by the processors.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from orchestration.forecast import (
    CANDIDATES,
    LEVELS,
    SEASONAL_NAIVE,
    Costs,
    Forecast,
    backtest,
    candidates,
    choose,
    fit,
    forecast_all,
)
from orchestration.simulated_costs import KINDS, SimulatedSeries, simulate_costs

SERIES = 280
SCOPES = 1000
SEED = 2026
HORIZONS = (28, 90)


def main() -> None:
    """Run both; print the figures as JSON and the four that have a bar as lines."""
    figures: dict[str, Any] = {f"{days} days": accuracy(days) for days in HORIZONS}
    figures["methods alone, 28 days"] = alone(28)
    figures["time"] = times()
    print(json.dumps(figures, indent=2))
    for name in (f"{days} days" for days in HORIZONS):
        total = figures[name]["all"]
        print(f"{name}: error / seasonal naive {total['median error']:.3f} (bar: 0.900)")
        print(f"{name}: 80 % interval covers {total['covered_80']:.3f} (bar: 0.750 to 0.850)")
        print(f"{name}: 95 % interval covers {total['covered_95']:.3f} (bar: 0.920 to 0.980)")
    print(f"final fits of {SCOPES}: {figures['time']['final fits']['seconds']:.0f} s (bar: 300)")


def accuracy(days: int) -> dict[str, Any]:
    """Weigh forecasts of series whose future is known, by kind of series."""
    series = simulate_costs(SERIES, days, SEED)
    made = forecast_all([one.history for one in series], days)
    scores = [_scores(one, forecast) for one, forecast in zip(series, made, strict=True)]
    figures: dict[str, Any] = {"all": _summary(scores)}
    for kind in KINDS:
        figures[kind] = _summary(
            [s for s, one in zip(scores, series, strict=True) if one.kind == kind]
        )
    figures["methods"] = dict(Counter(forecast.method for forecast in made))
    worst = sorted(range(SERIES), key=lambda number: -scores[number]["error"])[:10]
    figures["worst"] = [
        {"series": n, "kind": series[n].kind, "method": made[n].method}
        | {name: round(figure, 3) for name, figure in scores[n].items()}
        for n in worst
    ]
    return figures


def alone(days: int) -> dict[str, float]:
    """Give the median error of each method if it made all forecasts."""
    errors: dict[str, list[float]] = {method: [] for method in CANDIDATES}
    for one in simulate_costs(SERIES, days, SEED):
        made = candidates(one.history, days)
        for method in CANDIDATES:
            errors[method].append(_relative_error(made[method], one))
    return {method: round(float(np.median(found)), 3) for method, found in errors.items()}


def times() -> dict[str, Any]:
    """Time final fits and backtests of many scopes on all cores."""
    histories = [one.history / one.history.max() for one in simulate_costs(SCOPES, 90, SEED)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        list(pool.map(_warm_up, range(8)))
        backtests, backtest_times = _timed(pool, _backtest, histories)
        _, fit_times = _timed(pool, _fit, list(zip(histories, backtests, strict=True)))
    return {"cores": os.cpu_count(), "backtests": backtest_times, "final fits": fit_times}


def _scores(one: SimulatedSeries, made: Forecast) -> dict[str, float]:
    scores = {"error": _relative_error(made.yhat, one)}
    for level in LEVELS:
        low, high = made.intervals[level]
        scores[f"covered_{level}"] = float(((one.future >= low) & (one.future <= high)).mean())
        low, high = made.total_intervals[level]
        sums = one.future.cumsum()
        scores[f"sums_covered_{level}"] = float(((sums >= low) & (sums <= high)).mean())
    return scores


def _relative_error(yhat: Costs, one: SimulatedSeries) -> float:
    naive = _seasonal_naive(one.history, len(yhat))
    return float(np.abs(yhat - one.future).mean() / max(np.abs(naive - one.future).mean(), 1e-12))


def _seasonal_naive(history: Costs, days: int) -> Costs:
    """Repeat the last week."""
    return np.resize(history[-7:], days)


def _summary(scores: list[dict[str, float]]) -> dict[str, float]:
    errors = [score["error"] for score in scores]
    means = {
        name: round(float(np.mean([score[name] for score in scores])), 3)
        for name in scores[0]
        if name != "error"
    }
    return {
        "series": len(scores),
        "median error": round(float(np.median(errors)), 3),
        "worse than naive": round(float(np.mean(np.array(errors) > 1)), 3),
        **means,
    }


def _timed(pool: ProcessPoolExecutor, work: Any, items: list[Any]) -> tuple[list[Any], Any]:
    started = time.perf_counter()
    done = list(pool.map(work, items, chunksize=8))
    seconds = time.perf_counter() - started
    cpu = sum(spent for _, spent in done)
    return [found for found, _ in done], {"seconds": round(seconds, 1), "cpu": round(cpu, 1)}


def _warm_up(_: int) -> None:
    candidates(np.arange(30.0), 7)


def _backtest(history: Costs) -> tuple[Any, float]:
    started = time.process_time()
    made = backtest(history, 90)
    method = choose(history, made) if made else SEASONAL_NAIVE
    chosen = {origin: forecasts[method] for origin, forecasts in made.items()}
    return (method, chosen), time.process_time() - started


def _fit(item: tuple[Costs, tuple[str, dict[int, Costs]]]) -> tuple[None, float]:
    started = time.process_time()
    history, (method, chosen) = item
    fit(history, 90, method, chosen)
    return None, time.process_time() - started


if __name__ == "__main__":
    sys.exit(main())
