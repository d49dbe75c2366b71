"""Forecasts of what the marts hold, kept in `ops.forecasts`."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import psycopg

from orchestration.errors import AgentbooksError
from orchestration.forecast import LEVELS, LONGEST_HISTORY, MOST_DAYS, Costs, Forecast, forecast_all

if TYPE_CHECKING:
    from collections.abc import Iterator

Scope = tuple[str, str]

FLOOR = 0.001
"""Share of the cost of the last 90 days below which a scope is not forecast: at most 1,000 of a kind."""

AS_OF = "select max(usage_date) - 1 from marts.cost_by_scope_daily"
# Scopes above the floor whose forecast of that day is not kept yet, with their days.
SERIES = """
    with recent as (
        select scope_kind, scope_key, sum(cost_usd) as cost_usd
        from marts.cost_by_scope_daily
        where usage_date <= %(as_of)s and usage_date > %(as_of)s - 90
        group by scope_kind, scope_key
    )
    select
        scope_kind, scope_key, costs.usage_date, coalesce(costs.cost_usd, 0)::float8
    from recent
    inner join marts.cost_by_scope_daily as costs using (scope_kind, scope_key)
    where
        recent.cost_usd >= %(floor)s * (select cost_usd from recent where scope_kind = 'total')
        and costs.usage_date <= %(as_of)s
        and costs.usage_date > %(as_of)s - %(longest)s
        and not exists (
            select from ops.forecasts as kept
            where kept.as_of_date = %(as_of)s
                and kept.scope_kind = recent.scope_kind and kept.scope_key = recent.scope_key
        )
    order by scope_kind, scope_key, costs.usage_date
"""
KEEP = """
    insert into ops.forecasts (
        as_of_date, scope_kind, scope_key, forecast_date, method, history_days, naive_error_usd,
        yhat_usd, low_80_usd, high_80_usd, low_95_usd, high_95_usd,
        total_yhat_usd, total_low_80_usd, total_high_80_usd, total_low_95_usd, total_high_95_usd
    )
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    on conflict do nothing
"""


@dataclass(frozen=True)
class Kept:
    """What was forecast: as of which day, how many scopes, how many rows were added."""

    as_of: date
    scopes: int
    rows: int

    def sentence(self) -> str:
        """Say it."""
        if not self.scopes:
            return f"The forecast as of {self.as_of} is kept already; nothing was added."
        return f"{self.scopes:,} scopes forecast as of {self.as_of}; {self.rows:,} rows kept."


def forecast_marts(
    connection: psycopg.Connection, days: int = MOST_DAYS, as_of: date | None = None
) -> Kept:
    """Forecast every scope above the floor and keep what is new.

    Args:
        connection: In autocommit mode, as a role that may read the marts and add to ops.forecasts.
        days: Days ahead.
        as_of: Last day that counts; by default the one before the newest day with usage, which may
            not be over.

    Raises:
        AgentbooksError: There is no mart, or nothing in it.
    """
    try:
        if as_of is None:
            row = connection.execute(AS_OF).fetchone()
            as_of = row[0] if row else None
        if as_of is None:
            raise AgentbooksError(
                "forecast: the marts hold no costs; load some and run `dbt build`."
            )
        series = _read(connection, as_of)
    except psycopg.errors.UndefinedTable as error:
        raise AgentbooksError(
            "forecast: the database has no marts; run `dbt build` or `make demo` first."
        ) from error
    forecasts = forecast_all(list(series.values()), days)
    rows = [
        (as_of, *scope, *row)
        for scope, made in zip(series, forecasts, strict=True)
        for row in _rows(made, as_of)
    ]
    added = 0
    with connection.transaction(), connection.cursor() as cursor:
        if rows:
            cursor.executemany(KEEP, rows)
            added = cursor.rowcount
    return Kept(as_of, len(series), added)


def _read(connection: psycopg.Connection, as_of: date) -> dict[Scope, Costs]:
    """Read costs per day from each scope's first one on; days without usage cost nothing."""
    parameters = {"as_of": as_of, "floor": FLOOR, "longest": LONGEST_HISTORY}
    found: defaultdict[Scope, list[tuple[date, float]]] = defaultdict(list)
    for kind, key, day, cost in connection.execute(SERIES, parameters):
        found[kind, key].append((day, cost))
    series = {}
    for scope, days in found.items():
        first = days[0][0]
        series[scope] = np.zeros((as_of - first).days + 1)
        for day, cost in days:
            series[scope][(day - first).days] = max(cost, 0)
    return series


def _rows(made: Forecast, as_of: date) -> Iterator[tuple[object, ...]]:
    columns = [made.yhat]
    columns += [side for level in LEVELS for side in made.intervals[level]]
    columns += [made.yhat.cumsum()]
    columns += [side for level in LEVELS for side in made.total_intervals[level]]
    scale = _money(made.naive_error)
    for ahead, figures in enumerate(zip(*columns, strict=True), start=1):
        day = as_of + timedelta(days=ahead)
        yield day, made.method, made.history_days, scale, *map(_money, figures)


def _money(figure: float) -> Decimal | None:
    return None if math.isnan(figure) else Decimal(f"{figure:.10f}")
