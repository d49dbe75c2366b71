"""Forecasts of series: what they are for any series, and how good for simulated ones."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestration import cli, forecast_csv
from orchestration.errors import AgentbooksError
from orchestration.forecast import (
    CANDIDATES,
    LEVELS,
    Forecast,
    backtest,
    choose,
    forecast,
    forecast_all,
)
from orchestration.simulated_costs import SimulatedSeries, simulate_costs

if TYPE_CHECKING:
    from pathlib import Path

COSTS = st.one_of(
    st.just(0.0), st.floats(0, 1e15, allow_subnormal=False), st.sampled_from([1e-9, 0.01, 7.0])
)
HISTORIES = st.one_of(
    st.lists(COSTS, min_size=1, max_size=70),
    st.builds(lambda cost, days: [cost] * days, COSTS, st.integers(1, 60)),
)


def written(path: Path, days: int) -> list[dict[str, str]]:
    """Read a file, forecast it, and give the rows."""
    file = io.StringIO()
    forecast_csv.write(file, forecast_csv.read(path), days)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def as_file(folder: Path, *rows: str, header: str = "date,scope,cost") -> Path:
    """Write a CSV file."""
    path = folder / "series.csv"
    path.write_text("\n".join([header, *rows, ""]))
    return path


@pytest.fixture(scope="module")
def simulated() -> tuple[list[SimulatedSeries], list[Forecast]]:
    """Series of every kind whose future is known, and their forecasts."""
    series = simulate_costs(70, 28, seed=5)
    return series, forecast_all([one.history for one in series], 28)


@settings(max_examples=25, deadline=None)
@given(history=HISTORIES, days=st.integers(1, 90))
def test_any_series_gets_a_forecast_in_order(history: list[float], days: int) -> None:
    """A negative cost, a bound on the wrong side, a NaN from a model that gave up, or a crash."""
    made = forecast(np.array(history), days)
    assert made.yhat.shape == (days,)
    assert np.isfinite(made.yhat).all()
    for middle, intervals in (
        (made.yhat, made.intervals),
        (made.yhat.cumsum(), made.total_intervals),
    ):
        if len(history) < 3:
            assert all(np.isnan(bound).all() for level in LEVELS for bound in intervals[level])
            continue
        slack = 1e-9 * max(history)  # sums of floats
        order = [
            np.zeros(days), intervals[95].low, intervals[80].low, middle, intervals[80].high,
            intervals[95].high,
        ]  # fmt: skip
        for lower, upper in pairwise(order):
            assert (lower <= upper + slack).all()


def test_the_same_history_gives_the_same_forecast_however_many_are_made(
    simulated: tuple[list[SimulatedSeries], list[Forecast]],
) -> None:
    """A forecast that depends on chance, on its neighbours, or on which process made it."""
    for one, made in list(zip(*simulated, strict=True))[::9]:
        alone = forecast(one.history, 28)
        assert alone.method == made.method
        assert np.array_equal(alone.yhat, made.yhat)
        assert all(np.array_equal(alone.intervals[n], made.intervals[n]) for n in LEVELS)


def test_a_cost_in_another_unit_is_the_same_forecast() -> None:
    """Costs in millionths of a dollar that fall below some model's threshold."""
    [one] = simulate_costs(1, 14, seed=4)
    large, small = forecast(one.history * 2**30, 14), forecast(one.history / 2**30, 14)
    assert np.allclose(large.yhat, small.yhat * 2.0**60, rtol=1e-12)
    assert np.allclose(large.intervals[95], small.intervals[95].times(2.0**60), rtol=1e-12)


def test_forecasts_beat_seasonal_naive_and_intervals_cover(
    simulated: tuple[list[SimulatedSeries], list[Forecast]],
) -> None:
    """A change of the methods that makes forecasts worse, or intervals untrue; the bench tells more."""
    series, made = simulated
    ratios = [
        np.abs(m.yhat - one.future).mean()
        / np.abs(np.resize(one.history[-7:], 28) - one.future).mean()
        for one, m in zip(series, made, strict=True)
    ]
    assert np.median(ratios) < 0.92

    def covered(level: int) -> float:
        inside = [
            (one.future >= m.intervals[level].low) & (one.future <= m.intervals[level].high)
            for one, m in zip(series, made, strict=True)
        ]
        return float(np.mean(inside))

    assert 0.72 < covered(80) < 0.88
    assert 0.90 < covered(95) < 0.99


def test_a_method_that_does_not_beat_seasonal_naive_is_not_used() -> None:
    """A clever model where last week was as good."""
    history = np.tile([1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0], 9)
    backtests = backtest(history, 14)
    naive = {origin: made["seasonal_naive"] for origin, made in backtests.items()}
    assert all(
        np.array_equal(history[origin : origin + len(made)], made) for origin, made in naive.items()
    )
    assert choose(history, backtests) == "seasonal_naive"
    worse = {
        o: {m: made[m] + (m != "run_rate") for m in CANDIDATES} for o, made in backtests.items()
    }
    for origin, made in worse.items():
        made["run_rate"] = history[origin : origin + len(made["run_rate"])]
    assert choose(history, worse) == "run_rate"


def test_a_sum_is_surer_than_its_days() -> None:
    """A month's bounds made by adding those of its days: all thirty as bad as one in ten."""
    [one] = simulate_costs(1, 30, seed=6)
    made = forecast(one.history, 30)
    of_days = (made.intervals[80].high - made.intervals[80].low).sum()
    of_sum = made.total_intervals[80].high[-1] - made.total_intervals[80].low[-1]
    assert of_sum < 0.8 * of_days


@pytest.mark.parametrize(("days", "has_interval"), [(1, False), (2, False), (3, True), (9, True)])
def test_a_short_history_says_so(days: int, has_interval: bool) -> None:
    """A narrow interval from two days, which looks as good as one from two hundred."""
    made = forecast(np.arange(1.0, days + 1), 5)
    assert made.method == "mean"
    assert np.isfinite(made.intervals[80].high).all() == has_interval
    if has_interval:
        assert made.intervals[95].high[0] > days


def test_days_that_are_not_listed_cost_nothing(tmp_path: Path) -> None:
    """A gap that is closed up, so that weekdays slip, or filled with costs that there were not."""
    path = as_file(
        tmp_path, "2026-03-01,a,2.5", "2026-03-04,a,1", "2026-03-05,b,1", "2026-03-05,b b,0"
    )
    series = forecast_csv.read(path)
    assert list(series) == ["a", "b", "b b"]
    assert series["a"].last_day == date(2026, 3, 5), "as silent as before up to the file's last day"
    assert series["a"].costs.tolist() == [2.5, 0, 0, 1, 0]
    assert series["b"].costs.tolist() == [1]


def test_a_series_that_lists_each_day_ends_at_its_last(tmp_path: Path) -> None:
    """Zeros after the end of a series that was only recorded for less long than another."""
    rows = [f"{date(2026, 3, 1) + timedelta(days=n)},a,3" for n in range(12)]
    series = forecast_csv.read(as_file(tmp_path, *rows, "2026-05-01,b,1"))
    assert series["a"].last_day == date(2026, 3, 12)


def test_a_file_in_any_order_gives_a_row_per_day_and_scope(tmp_path: Path) -> None:
    """Rows that follow the order of the input, or further columns that are taken for costs."""
    rows = [f"x,{n % 3 + 1},s,{date(2026, 1, 1) + timedelta(days=n)}" for n in range(40)]
    ordered = written(as_file(tmp_path, *rows, header="note,cost,scope,date"), 3)
    shuffled = written(as_file(tmp_path, *rows[::-1], header="note,cost,scope,date"), 3)
    assert ordered == shuffled
    assert [row["date"] for row in ordered] == ["2026-02-10", "2026-02-11", "2026-02-12"]
    assert list(ordered[0]) == [
        "date", "scope", "method", "yhat", "low_80", "high_80", "low_95", "high_95",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("", "line 1: the header needs date, scope and cost"),
        ("date,cost\n2026-01-01,1\n", "mend scope"),
        ("date,scope,cost,cost\n", "mend cost"),
        ("date,scope,cost\n", "no rows"),
        ("date,scope,cost\n2026-01-01,a,1\n2026-02-30,a,1\n", "line 3: '2026-02-30' is no date"),
        ("date,scope,cost\n9999-12-31,a,1\n", "line 2: '9999-12-31' is no date"),
        ("date,scope,cost\n2026-01-01,a,-0.01\n", "line 2: '-0.01' is no cost"),
        ("date,scope,cost\n2026-01-01,a,nan\n", "line 2: 'nan' is no cost"),
        ("date,scope,cost\n2026-01-01,a,inf\n", "line 2: 'inf' is no cost"),
        ("date,scope,cost\n2026-01-01,a,1e300\n", "line 2: '1e300' is no cost"),
        ("date,scope,cost\n2026-01-01,a,\n", "line 2: '' is no cost"),
        ("date,scope,cost\n2026-01-01,a,1,2\n", "line 2: 4 fields under a header of 3"),
        ("date,scope,cost\n2026-01-01,a,1\n\n2026-01-01,a,1\n", "line 4: 2026-01-01 of scope 'a'"),
        ('date,scope,cost\n2026-01-01,"a,1\n', "is no CSV"),
        ("date,scope,cost\n2026-01-01,\udce4,1\n", "is not UTF-8"),
    ],
)
def test_bad_input_is_one_sentence_with_the_line(tmp_path: Path, text: str, sign: str) -> None:
    """A wrong row that is taken as a cost, or a traceback in place of its line."""
    path = tmp_path / "series.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(AgentbooksError) as refused:
        forecast_csv.read(path)
    sentence = str(refused.value)
    assert sentence.startswith(f"forecast: {path}")
    assert sentence.endswith(".")
    assert sign in sentence


@settings(max_examples=60)
@given(text=st.text(max_size=60), line=st.text(max_size=30))
def test_no_file_is_more_than_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str, line: str
) -> None:
    """Input that nobody thought of."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    for content in (text, f"date,scope,cost\n{line}", f"date,scope,cost\n2026-01-01,a,{line}"):
        path.write_bytes(content.encode(errors="replace"))
        try:
            series = forecast_csv.read(path)
        except AgentbooksError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert series


def test_the_command_writes_what_others_can_check(tmp_path: Path) -> None:
    """A command line that forecasts other than the functions do."""
    path = as_file(
        tmp_path, *(f"{date(2026, 1, 1) + timedelta(days=n)},a,{n % 7}" for n in range(50))
    )
    out = tmp_path / "forecast.csv"
    arguments = ["forecast", "--csv", str(path), "--days", "10"]
    printed = CliRunner().invoke(cli.app, arguments)
    assert CliRunner().invoke(cli.app, [*arguments, "--out", str(out)]).exit_code == 0
    assert out.read_text() == printed.output
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert rows == written(path, 10)
    assert [float(row["yhat"]) for row in rows] == [(50 + n) % 7 for n in range(10)]
    nowhere = CliRunner().invoke(cli.app, [*arguments, "--out", str(tmp_path / "no" / "file")])
    assert isinstance(nowhere.exception, AgentbooksError)


def test_only_days_that_can_be_forecast_are_taken(tmp_path: Path) -> None:
    """A horizon beyond what was measured."""
    path = as_file(tmp_path, "2026-01-01,a,1")
    for days in ("0", "91"):
        result = CliRunner().invoke(cli.app, ["forecast", "--csv", str(path), "--days", days])
        assert result.exit_code == 2


def test_a_forecast_times_a_factor_is_one_of_that_much() -> None:
    """Ten per cent more runs that widen the interval of the wrong thing."""
    [one] = simulate_costs(1, 5, seed=7)
    made: Forecast = forecast(one.history, 5)
    assert np.array_equal(made.times(2).total_intervals[80].high, made.total_intervals[80].high * 2)
