"""Forecasts of series in a file: CSV with date, scope and cost in, CSV with forecasts out."""

from __future__ import annotations

import csv
import math
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TextIO

import numpy as np

from orchestration.errors import AgentbooksError
from orchestration.forecast import LEVELS, LONGEST_HISTORY, MOST_DAYS, Costs, forecast_all

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COLUMNS = ("date", "scope", "cost")
ABSURD = 1e15


class Series(NamedTuple):
    """Costs per day without gaps, and the last of these days."""

    last_day: date
    costs: Costs


def read(path: Path) -> dict[str, Series]:
    """Read the series of a file, in the order in which their scopes appear.

    Days between a scope's first and last that the file does not list cost nothing. So do those after
    its last up to the file's last, if it was silent at least half as long before: a scope that costs
    something now and then is listed on those days only.

    Raises:
        AgentbooksError: Something is wrong with the file; the sentence names the line.
    """
    scopes: dict[str, dict[date, float]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, [])
            places = _places(header, path)
            for row in rows:
                where = f"forecast: {path}, line {rows.line_num}"
                if row and len(row) != len(header):
                    raise AgentbooksError(
                        f"{where}: {len(row)} fields under a header of {len(header)}; mend the line."
                    )
                if row:
                    date_text, scope, cost_text = (row[place] for place in places)
                    day = _day(date_text, where)
                    if day in scopes.setdefault(scope, {}):
                        raise AgentbooksError(
                            f"{where}: {day} of scope {scope!r} stands in an earlier line too; add "
                            "the two up."
                        )
                    scopes[scope][day] = _cost(cost_text, where)
    except OSError as error:
        raise AgentbooksError(
            f"forecast: cannot read {path} ({error.strerror}); check the name."
        ) from error
    except UnicodeDecodeError as error:
        raise AgentbooksError(f"forecast: {path} is not UTF-8; save it as that.") from error
    except csv.Error as error:
        raise AgentbooksError(f"forecast: {path} is no CSV ({error}); mend it.") from error
    if not scopes:
        raise AgentbooksError(f"forecast: {path} has no rows below its header; add some.")
    newest = max(max(days) for days in scopes.values())
    return {scope: _series(days, newest) for scope, days in scopes.items()}


def write(file: TextIO, series: Mapping[str, Series], days: int) -> None:
    """Forecast each series from the day after its last one, and write a row per scope and day."""
    writer = csv.writer(file, lineterminator="\n")
    bounds = [f"{side}_{level}" for level in LEVELS for side in ("low", "high")]
    writer.writerow(["date", "scope", "method", "yhat", *bounds])
    forecasts = forecast_all([one.costs for one in series.values()], days)
    for (scope, one), made in zip(series.items(), forecasts, strict=True):
        columns = [made.yhat, *(side for level in LEVELS for side in made.intervals[level])]
        for ahead, figures in enumerate(zip(*columns, strict=True), start=1):
            writer.writerow(
                [
                    one.last_day + timedelta(days=ahead),
                    scope,
                    made.method,
                    *("" if math.isnan(figure) else f"{figure:.10g}" for figure in figures),
                ]
            )


def _places(header: list[str], path: Path) -> list[int]:
    missing = [name for name in COLUMNS if header.count(name) != 1]
    if missing:
        raise AgentbooksError(
            f"forecast: {path}, line 1: the header needs date, scope and cost, each once; mend "
            f"{' and '.join(missing)}."
        )
    return [header.index(name) for name in COLUMNS]


def _day(text: str, where: str) -> date:
    try:
        day = date.fromisoformat(text.strip())
        day + timedelta(days=MOST_DAYS)  # what is forecast needs dates too
    except (ValueError, OverflowError) as error:
        raise AgentbooksError(f"{where}: {text!r} is no date; write it as 2026-03-31.") from error
    return day


def _cost(text: str, where: str) -> float:
    try:
        cost = float(text)
    except ValueError:
        cost = math.nan
    if not 0 <= cost <= ABSURD:
        raise AgentbooksError(
            f"{where}: {text!r} is no cost; write a number from 0 to {ABSURD:.0e}, or leave "
            "the line out for a day without cost."
        )
    return cost


def _series(days: Mapping[date, float], newest: date) -> Series:
    listed = sorted(days)
    longest_silence = max((b - a for a, b in pairwise(listed)), default=timedelta(1))
    is_silent = timedelta(1) < longest_silence and newest - listed[-1] <= 2 * longest_silence
    last = newest if is_silent else listed[-1]
    first = max(listed[0], last - timedelta(days=LONGEST_HISTORY - 1))
    costs = np.zeros((last - first).days + 1)
    for day in listed:
        if day >= first:
            costs[(day - first).days] = days[day]
    return Series(last, costs)
