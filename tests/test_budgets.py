"""Budgets: what cannot be meant is refused, and budget_status says what a person with a calendar would."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from cost_series import clear, refresh, write
from test_dbt_project import dbt, server_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refreshing import Refresher

DEPENDENTS = (
    "marts.cost_by_tenant_daily",
    "marts.cost_by_scope_daily",
    "marts.cost_forecast",
    "marts.cost_forecast_baseline",
    "marts.budget_status",
)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def refresher(empty_marts: Callable[[], Refresher]) -> Refresher:
    """A database whose marts are built, and empty."""
    return empty_marts()


@pytest.fixture
def marts(refresher: Refresher) -> Iterator[psycopg.Connection[Any]]:
    """A connection to that database; costs, budgets and forecasts are taken out at the end."""
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        yield connection
        clear(connection)
        for table in ("ops.budgets", "seeds.budgets", "ops.forecasts"):
            connection.execute(f"delete from {table}".encode())


def spend(
    connection: psycopg.Connection[Any], first: date, last: date, usd: float | None, **row: object
) -> None:
    """Have each day cost as much."""
    days = (last - first).days + 1
    write(
        connection,
        ({"usage_date": first + timedelta(day), "cost_usd": usd} | row for day in range(days)),
    )


def budget(connection: psycopg.Connection[Any], **row: object) -> None:
    """Set a budget of 100 USD a month for the total, or another."""
    row = {"scope_kind": "total", "scope_key": "total", "period": "month", "amount_usd": 100} | row
    connection.execute(
        psycopg.sql.SQL("insert into ops.budgets ({}) values ({})").format(
            psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, row)),
            psycopg.sql.SQL(", ").join(map(psycopg.sql.Literal, row.values())),
        )
    )


def status(connection: psycopg.Connection[Any], refresher: Refresher) -> Rows:
    """Refresh, and read budget_status by scope and period."""
    refresher.collect(connection)
    refresh(connection, refresher, DEPENDENTS)
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(
            "select * from marts.budget_status order by scope_kind, scope_key, period, period_start"
        ).fetchall()


def only(rows: Rows) -> dict[str, Any]:
    """Give the one row."""
    [row] = rows
    return row


def test_a_running_month_is_counted_by_its_own_days(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A month of 30 days, or one whose newest day, just begun, counts as a whole one."""
    spend(marts, date(2026, 1, 1), date(2026, 3, 20), 3)
    spend(marts, date(2026, 3, 21), date(2026, 3, 21), 1)
    budget(marts, valid_from=date(2026, 3, 1))
    row = only(status(marts, refresher))
    assert (row["period_start"], row["period_end"]) == (date(2026, 3, 1), date(2026, 3, 31))
    assert (row["days_elapsed"], row["days_left"]) == (21, 10)
    assert row["spent_usd"] == 61
    assert row["projected_by"] == "weekday_profile"
    assert row["projected_usd"] == pytest.approx(Decimal(31 * 3))
    assert row["breach_probability"] == pytest.approx(0)
    assert (row["status"], row["threshold_reached"]) == ("ok", None)
    assert row["is_projected_over"] is False


@pytest.mark.parametrize(
    ("amount", "reached", "said", "over"),
    [
        (61, "1.0", "exceeded", True),
        (62, "0.8", "warning", True),
        (77, "0.5", "warning", True),
        (84, "0.5", "warning", True),
        (85, "0.5", "warning", False),
        (122, "0.5", "warning", False),
        (122.01, None, "ok", False),
    ],
)
def test_thresholds_are_reached_at_their_very_amount(
    marts: psycopg.Connection[Any],
    refresher: Refresher,
    amount: float,
    reached: str | None,
    said: str,
    over: bool,
) -> None:
    """A warning that comes a cent late, or says less than was reached."""
    spend(marts, date(2026, 1, 1), date(2026, 3, 20), 3)
    spend(marts, date(2026, 3, 21), date(2026, 3, 21), 1)
    budget(marts, amount_usd=amount, thresholds="{0.5,0.8,1.0}", valid_from=date(2026, 3, 1))
    row = only(status(marts, refresher))
    threshold = row["threshold_reached"]
    assert (threshold and str(threshold), row["status"]) == (reached, said)
    assert row["is_projected_over"] is over


def test_ended_periods_stay_with_the_budget_that_was_in_force(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A budget raised in April that lets February look kept, or two rows for the month of the rise."""
    spend(marts, date(2026, 2, 10), date(2026, 4, 20), 10)
    budget(marts, amount_usd=150, valid_to=date(2026, 4, 15))
    budget(marts, amount_usd=500, valid_from=date(2026, 4, 15))
    rows = status(marts, refresher)
    found = [
        (row["period_start"].month, row["amount_usd"], row["spent_usd"], row["status"])
        for row in rows
    ]
    assert found == [(2, 150, 190, "exceeded"), (3, 150, 310, "exceeded"), (4, 500, 200, "ok")]
    assert [row["projected_by"] for row in rows] == ["actual", "actual", "weekday_profile"]
    assert [row["breach_probability"] for row in rows[:2]] == [1, 1]
    assert [row["days_left"] for row in rows] == [0, 0, 10]


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("day", date(2026, 2, 18), date(2026, 2, 18)),
        ("week", date(2026, 2, 16), date(2026, 2, 22)),
        ("month", date(2026, 2, 1), date(2026, 2, 28)),
        ("quarter", date(2026, 1, 1), date(2026, 3, 31)),
    ],
)
def test_periods_are_those_of_the_calendar(
    marts: psycopg.Connection[Any], refresher: Refresher, period: str, first: date, last: date
) -> None:
    """Weeks that begin on a Sunday, or months that roll."""
    spend(marts, date(2025, 12, 1), date(2026, 2, 18), 5)
    budget(marts, period=period)
    row = status(marts, refresher)[-1]
    assert (row["period_start"], row["period_end"]) == (first, last)
    assert row["days_elapsed"] + row["days_left"] == (last - first).days + 1
    assert row["projected_usd"] == pytest.approx(Decimal(5 * ((last - first).days + 1)))


def test_what_is_unknown_does_not_count_as_kept(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A budget that looks kept because the model has no price, or the scope's name is misspelt."""
    spend(marts, date(2026, 3, 1), date(2026, 3, 5), 10, workflow="priced")
    spend(marts, date(2026, 3, 1), date(2026, 3, 4), None, workflow="unpriced", calls_unpriced=7)
    for key in ("priced", "unpriced", "misspelt"):
        budget(marts, scope_kind="workflow", scope_key=key)
    budget(marts)
    said = {
        row["scope_key"]: (row["status"], row["spent_usd"], row["calls_unpriced"])
        for row in status(marts, refresher)
    }
    assert said == {
        "priced": ("ok", 50, 0),
        "unpriced": ("no_data", None, 28),
        "misspelt": ("no_data", None, 0),
        "total": ("ok", 50, 28),
    }


def test_a_scope_that_has_stopped_has_spent_nothing(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A month without runs taken for a month of which nothing is known."""
    spend(marts, date(2026, 1, 1), date(2026, 3, 5), 10, workflow="going")
    spend(marts, date(2026, 1, 1), date(2026, 1, 31), 10, workflow="gone")
    budget(marts, scope_kind="workflow", scope_key="gone", valid_from=date(2026, 3, 1))
    row = only(status(marts, refresher))
    assert (row["status"], row["spent_usd"]) == ("ok", 0)


def test_the_table_wins_over_the_seed(marts: psycopg.Connection[Any], refresher: Refresher) -> None:
    """Two rows for one budget, or one that an application cannot change."""
    spend(marts, date(2026, 3, 1), date(2026, 3, 5), 10)
    marts.execute(
        "insert into seeds.budgets (scope_kind, scope_key, period, amount_usd) values"
        " ('total', 'total', 'month', 1), ('total', 'total', 'week', 2)"
    )
    budget(marts)
    found = {(row["period"], row["set_in"], row["amount_usd"]) for row in status(marts, refresher)}
    assert found == {("month", "ops.budgets", 100), ("week", "seed", 2)}
    marts.execute("delete from ops.budgets")
    found = {(row["period"], row["set_in"], row["amount_usd"]) for row in status(marts, refresher)}
    assert found == {("month", "seed", 1), ("week", "seed", 2)}


def forecast(
    connection: psycopg.Connection[Any], as_of: date, usd: int = 10, off: int = 20
) -> None:
    """Keep a forecast for the total: each day as much, each sum with the same 80 % interval."""
    connection.execute(
        "insert into ops.forecasts (as_of_date, scope_kind, scope_key, forecast_date, method, history_days,"
        " yhat_usd, low_80_usd, high_80_usd, low_95_usd, high_95_usd, total_yhat_usd, total_low_80_usd,"
        " total_high_80_usd, total_low_95_usd, total_high_95_usd)"
        " select %(as_of)s, 'total', 'total', %(as_of)s::date + n, 'by hand', 100, %(usd)s, 0, 99, 0, 99,"
        " n * %(usd)s, greatest(n * %(usd)s - %(off)s, 0), n * %(usd)s + %(off)s, 0, 999"
        " from generate_series(1, 90) as n",
        {"as_of": as_of, "usd": usd, "off": off},
    )


@pytest.mark.parametrize(
    ("amount", "probability"),
    [(400, "0.5"), (420, "0.1"), (380, "0.9"), (2000, "0"), (301, "1"), (300, "1")],
)
def test_the_chance_of_a_breach_is_the_forecasts(
    marts: psycopg.Connection[Any], refresher: Refresher, amount: int, probability: str
) -> None:
    """A chance that leaves out what is spent, or takes the wrong end of the interval."""
    spend(marts, date(2026, 1, 1), date(2026, 3, 20), 15)
    spend(marts, date(2026, 3, 21), date(2026, 3, 21), 0.1)
    forecast(marts, date(2026, 3, 20))
    budget(marts, amount_usd=amount + 10, valid_from=date(2026, 3, 1))
    row = only(status(marts, refresher))
    assert row["projected_by"] == "forecast"
    assert row["projected_usd"] == 20 * 15 + 11 * 10
    assert row["breach_probability"] == pytest.approx(Decimal(probability), abs=Decimal("0.001"))


def test_a_forecast_made_some_days_ago_speaks_of_the_rest_alone(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """Days that are counted twice, as spent and as forecast."""
    spend(marts, date(2026, 1, 1), date(2026, 3, 21), 15)
    forecast(marts, date(2026, 3, 16))
    budget(marts, valid_from=date(2026, 3, 1), amount_usd=410)
    row = only(status(marts, refresher))
    assert row["projected_usd"] == 20 * 15 + 11 * 10
    assert row["breach_probability"] == pytest.approx(Decimal("0.5"), abs=Decimal("0.001"))


def test_a_young_scope_has_no_projection(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A month's cost told from three days as if it were known."""
    spend(marts, date(2026, 1, 1), date(2026, 3, 21), 15)
    spend(marts, date(2026, 3, 10), date(2026, 3, 21), 15, workflow="young")
    budget(marts, scope_kind="workflow", scope_key="young")
    row = only(status(marts, refresher))
    assert (row["spent_usd"], row["status"]) == (180, "exceeded")
    assert [row[name] for name in ("projected_usd", "projected_by", "breach_probability")] == [
        None
    ] * 3


BAD = {
    "(null, null, 'month', 5, null, null, null)": "has no scope: fill in scope_kind and scope_key",
    "('team', 'a', 'month', 5, null, null, null)": "of team a for a month of 5 USD, valid from ever, is of an"
    " unknown kind",
    "('total', 'all', 'month', 5, null, null, null)": "limits the total: write total",
    "('total', 'total', 'year', 5, null, null, null)": "is for an unknown period",
    "('model', 'a', 'month', -5, null, null, null)": "of model a for a month of -5 USD, valid from ever, has"
    " no amount above 0",
    "('model', 'b', 'month', 'NaN', null, null, null)": "has no amount above 0",
    "('model', 'c', 'month', 5, 'half', null, null)": "has thresholds (half) that are no numbers",
    "('model', 'd', 'month', 5, '0.8 0.5', null, null)": "has thresholds (0.8 0.5) that do not ascend",
    "('model', 'e', 'month', 5, '0.8 80', null, null)": "has thresholds (0.8 80) that do not ascend",
    "('model', 'f', 'month', 5, '0 1', null, null)": "has thresholds (0 1) that do not ascend",
    "('model', 'g', 'day', 5, null, '2026-02-01', '2026-01-01')": "ends on 2026-01-01, before it begins",
    "('user', 'h', 'week', 5, null, null, null), ('user', 'h', 'week', 6, null, '2026-01-01', null)":
    "of user h for a week of 6 USD, valid from 2026-01-01, overlaps another",
}  # fmt: skip
GOOD = """
('total', 'total', 'month', 5, '0.5 0.8 1 2', null, '2026-01-01'),
('total', 'total', 'month', 9.5, null, '2026-01-01', null), ('total', 'total', 'week', 1, null, null, null)
"""


def test_budgets_in_the_seed_that_cannot_be_meant_are_named(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A failing test that says `got 1 result`, or a budget that limits nothing and passes."""
    select = ("test", "--target", "prod", "--select", "assert_budgets_can_be_taken")
    marts.execute(f"insert into seeds.budgets values {GOOD}".encode())
    dbt(*select, **server_environment(refresher.url))
    rows = list(BAD.items())
    for part in (rows[:7], rows[7:]):
        marts.execute("delete from seeds.budgets")
        values = ", ".join(row for row, _ in part)
        marts.execute(f"insert into seeds.budgets values {GOOD}, {values}".encode())
        output = dbt(*select, check=False, **server_environment(refresher.url))
        for row, sentence in part:
            assert sentence in output, f"{row} is not refused:\n{output}"


@pytest.mark.parametrize(
    "row",
    [
        {"scope_kind": "team"},
        {"scope_kind": None},
        {"scope_key": "all"},
        {"scope_kind": "model", "scope_key": ""},
        {"period": "year"},
        {"amount_usd": 0},
        {"amount_usd": "NaN"},
        {"amount_usd": "infinity"},
        {"thresholds": "{}"},
        {"thresholds": "{0.8,0.5}"},
        {"thresholds": "{0.8,0.8}"},
        {"thresholds": "{0,1}"},
        {"thresholds": "{0.8,80}"},
        {"thresholds": "{0.8,NULL}"},
        {"thresholds": "{0.8,NaN}"},
        {"valid_from": "2026-02-01", "valid_to": "2026-02-01"},
        {"valid_from": "2026-05-01"},
    ],
)
def test_the_table_refuses_budgets_that_cannot_be_meant(
    marts: psycopg.Connection[Any], row: dict[str, object]
) -> None:
    """An application that sets a budget which nobody notices is none."""
    budget(marts, valid_from="2026-03-01")
    budget(marts, valid_to="2026-03-01")
    budget(marts, period="week")
    budget(marts, scope_kind="model", scope_key="total")
    with pytest.raises(psycopg.errors.IntegrityError):
        budget(marts, **row)
