"""Forecasts of what the marts hold: kept once, shown newest, and scored against what came."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from orchestration import cli, database, forecast_store, loader, simulate
from orchestration.errors import AgentbooksError
from orchestration.forecast import candidates

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from refreshing import Refresher

DAYS = 40


@pytest.fixture(scope="module")
def refresher(
    empty_marts: Callable[[], Refresher], tmp_path_factory: pytest.TempPathFactory
) -> Refresher:
    """A built database with forty days of simulated runs."""
    built = empty_marts()
    runs = tmp_path_factory.mktemp("runs") / "simulated.ndjson"
    simulate.write(runs, days=DAYS, runs_per_day=4, seed=3)
    with psycopg.connect(built.url, autocommit=True) as connection:
        loader.load_agent_runs(connection, [runs])
        built.refresh(connection)
    return built


@pytest.fixture
def books(refresher: Refresher, connect: Callable[[str], psycopg.Connection]) -> psycopg.Connection:
    """A connection to it, with no forecast kept."""
    connection = connect(refresher.url)
    connection.execute("delete from ops.forecasts")
    return connection


def newest_day(books: psycopg.Connection) -> date:
    """The newest day with usage."""
    row = books.execute("select max(usage_date) from marts.cost_daily").fetchone()
    assert row
    return row[0]  # type: ignore[no-any-return]


def test_a_day_is_forecast_once(books: psycopg.Connection) -> None:
    """Forecasts that are made again when it is known what came, and then score well."""
    first = forecast_store.forecast_marts(books, days=5)
    assert first.as_of == newest_day(books) - timedelta(days=1)
    assert first.rows == 5 * first.scopes > 0
    kept = books.execute("select * from ops.forecasts order by 1, 2, 3, 4").fetchall()
    again = forecast_store.forecast_marts(books, days=9)
    assert (again.as_of, again.scopes, again.rows) == (first.as_of, 0, 0)
    assert "nothing was added" in again.sentence()
    assert books.execute("select * from ops.forecasts order by 1, 2, 3, 4").fetchall() == kept
    earlier = forecast_store.forecast_marts(books, 5, first.as_of - timedelta(days=7))
    assert earlier.rows > 0, "another day is another forecast"


def test_the_total_is_forecast_with_every_scope_above_the_floor(books: psycopg.Connection) -> None:
    """A workflow that costs much and is not forecast, or a thousand users who cost nothing and are."""
    as_of = forecast_store.forecast_marts(books, days=1).as_of
    found = set(books.execute("select scope_kind, scope_key from ops.forecasts").fetchall())
    expected = set(
        books.execute(
            """
            select scope_kind, scope_key from marts.cost_by_scope_daily
            where usage_date <= %s
            group by scope_kind, scope_key
            having sum(cost_usd) >= 0.001 * (
                select sum(cost_usd) from marts.cost_daily where usage_date <= %s
            )
            """,
            (as_of, as_of),
        ).fetchall()
    )
    assert found == expected
    assert ("total", "total") in found
    assert {kind for kind, _ in found} == {"total", "workflow", "agent", "model", "user"}


def test_what_comes_after_its_day_does_not_change_a_forecast(books: psycopg.Connection) -> None:
    """A forecast that knows what it forecasts."""
    as_of = newest_day(books) - timedelta(days=10)
    forecast_store.forecast_marts(books, 5, as_of)
    query = "select forecast_date, scope_key, yhat_usd from ops.forecasts order by 1, 2"
    known = books.execute(query).fetchall()
    with books.transaction(force_rollback=True):
        books.execute("delete from ops.forecasts")
        books.execute("delete from marts.cost_by_scope_daily where usage_date > %s", (as_of,))
        forecast_store.forecast_marts(books, 5, as_of)
        assert books.execute(query).fetchall() == known


def test_the_newest_forecast_is_shown(books: psycopg.Connection, refresher: Refresher) -> None:
    """Days of two forecasts side by side, which would be added up."""
    newest = newest_day(books) - timedelta(days=1)
    for as_of in (newest - timedelta(days=3), newest):
        forecast_store.forecast_marts(books, 4, as_of)
    refresher.refresh(books)
    found = books.execute(
        "select as_of_date, min(forecast_date), max(days_ahead) from marts.cost_forecast"
        " where scope_kind = 'total' group by as_of_date"
    ).fetchall()
    assert found == [(newest, newest + timedelta(days=1), 4)]


def keep(books: psycopg.Connection, ahead: int, figures: tuple[float, ...], day: date) -> None:
    """Keep a made-up forecast of the total for a day: expected cost, 80 % and 95 % bounds."""
    books.execute(
        """
        insert into ops.forecasts (
            as_of_date, scope_kind, scope_key, forecast_date, method, history_days, naive_error_usd,
            yhat_usd, low_80_usd, high_80_usd, low_95_usd, high_95_usd, total_yhat_usd
        )
        values (%s, 'total', 'total', %s, 'theta', 30, 2, %s, %s, %s, %s, %s, 1)
        """,
        (day - timedelta(days=ahead), day, *figures),
    )


def test_accuracy_is_what_one_works_out_by_hand(
    books: psycopg.Connection, refresher: Refresher
) -> None:
    """A score that is made of something else than its name says."""
    newest = newest_day(books)
    one, two = newest - timedelta(days=2), newest - timedelta(days=1)
    with books.transaction(force_rollback=True):
        books.execute("delete from marts.cost_by_scope_daily where scope_kind = 'total'")
        for day, cost in ((one, 10), (newest, 99)):
            books.execute(
                "insert into marts.cost_by_scope_daily values (%s, 'total', 'total', %s, 1, %s, 0)",
                (str(day), day, cost),
            )
        keep(books, 1, (8, 6, 9, 5, 12), one)  # 2 too low, outside 80 %, inside 95 %
        keep(books, 2, (1, 0, 2, 0, 4), two)  # the day cost nothing: 1 too high, inside both
        keep(books, 8, (13, 11, 14, 10.5, 15), one)  # 3 too high, outside both
        keep(books, 1, (1, 0, 2, 0, 4), newest)  # may not be over
        keep(books, 1, (1, 0, 2, 0, 4), newest + timedelta(days=1))  # is yet to come
        for name in ("marts.forecast_scores_daily", "marts.forecast_accuracy"):
            statement = refresher.statements[name].replace("False\n", "True\n")
            books.execute(statement.encode())
        rows = books.execute(
            "select horizon, forecasts, wape, bias, mase, pinball_usd, coverage_80, coverage_95,"
            " first_date, last_date from marts.forecast_accuracy where method = 'theta' order by 1"
        ).fetchall()
    near, far = ([float(f) if not isinstance(f, str | date) else f for f in row] for row in rows)
    # Losses of the bounds at 2.5, 10, 90 and 97.5 %.
    first = (0.025 * 5 + 0.1 * 4 + 0.9 * 1 + 0.025 * 2) / 4
    second = (0 + 0 + 0.1 * 2 + 0.025 * 4) / 4
    assert near == pytest.approx(
        [
            "1-7 days",
            2,
            3 / 10,
            -1 / 10,
            (2 / 2 + 1 / 2) / 2,
            (first + second) / 2,
            0.5,
            1,
            one,
            two,
        ]
    )
    third = (0.975 * 0.5 + 0.9 * 1 + 0.1 * 4 + 0.025 * 5) / 4
    assert far == pytest.approx(["8-28 days", 1, 3 / 10, 3 / 10, 3 / 2, third, 0, 0, one, one])


def test_the_sql_baseline_is_the_methods_of_the_same_name(
    books: psycopg.Connection, refresher: Refresher
) -> None:
    """Two baselines of one name that differ."""
    refresher.refresh(books)
    rows = books.execute(
        "select scope_kind, scope_key, as_of_date, weekday, seasonal_naive_usd, weekday_profile_usd"
        " from marts.cost_forecast_baseline"
    ).fetchall()
    series = forecast_store._read(books, rows[0][2])
    found: dict[Any, dict[int, tuple[Decimal, Decimal]]] = {}
    for kind, key, _, weekday, naive, profile in rows:
        found.setdefault((kind, key), {})[weekday] = (naive, profile)
    compared = 0
    for scope, costs in series.items():
        if len(costs) >= 7:
            made = candidates(costs, 7)
            for ahead in range(7):
                weekday = (rows[0][2] + timedelta(days=ahead + 1)).isoweekday()
                naive, profile = map(float, found[scope][weekday])
                assert naive == pytest.approx(made["seasonal_naive"][ahead], abs=1e-12)
                assert profile == pytest.approx(made["weekday_profile"][ahead], abs=1e-12)
                compared += 1
    assert compared > 70


def test_other_models_prices_are_put_to_the_same_tokens(
    books: psycopg.Connection, refresher: Refresher
) -> None:
    """A what-if that compares one model's bill with another's list price."""
    forecast_store.forecast_marts(books, days=30)
    refresher.refresh(books)
    rows = books.execute(
        "select model, other_model, own_list_cost_usd, other_list_cost_usd, cost_ratio,"
        " next_30_days_usd, next_30_days_at_other_usd, cost_usd"
        " from marts.cost_at_other_models where other_provider = provider and own_list_cost_usd > 0"
    ).fetchall()
    own = [row for row in rows if row[0] == row[1]]
    assert own
    for _, _, own_cost, other_cost, ratio, *_ in own:
        assert (own_cost, ratio) == (other_cost, 1)
    for _, _, own_cost, other_cost, ratio, month, other_month, _ in rows:
        assert ratio == pytest.approx(other_cost / own_cost)
        assert month is None or other_month == pytest.approx(month * ratio)
    assert any(np.isclose(float(row[2]), float(row[7]), rtol=0.5) for row in own)


def test_the_command_forecasts_the_marts(
    books: psycopg.Connection, refresher: Refresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that forecasts and keeps nothing."""
    monkeypatch.setenv(database.URL_VARIABLE, refresher.url)
    day = newest_day(books) - timedelta(days=5)
    arguments = ["forecast", "--days", "2", "--as-of", str(day)]
    assert f"scopes forecast as of {day}" in CliRunner().invoke(cli.app, arguments).output
    assert "nothing was added" in CliRunner().invoke(cli.app, arguments).output
    row = books.execute("select count(*), min(forecast_date) from ops.forecasts").fetchone()
    assert row
    assert row[0] > 0
    assert row[1] == day + timedelta(days=1)


def test_a_database_without_marts_gets_one_sentence(raw: psycopg.Connection) -> None:
    """A traceback where a build is missing."""
    with pytest.raises(AgentbooksError, match="has no marts; run `dbt build`"):
        forecast_store.forecast_marts(raw)


def test_the_job_forecasts_and_builds_what_shows_it(
    books: psycopg.Connection, refresher: Refresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nightly job that keeps forecasts which no mart shows, or an hourly one that makes them too."""
    from orchestration.definitions import defs

    monkeypatch.setenv(database.URL_VARIABLE, refresher.url)
    key = dg.AssetKey(["ops", "forecasts"])
    hourly = defs.resolve_job_def("refresh").asset_layer.executable_asset_keys
    assert dg.AssetKey(["marts", "cost_by_scope_daily"]) in hourly
    assert key not in hourly
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("forecast").execute_in_process(instance=instance)
    assert result.success
    events = {
        event.asset_key.path[-1]: event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert (
        events["forecasts"]["rows_added"].value == 90 * events["forecasts"]["scopes_forecast"].value
    )
    assert (
        events["cost_forecast"]["dagster/row_count"].value
        == events["forecasts"]["rows_added"].value
    )
