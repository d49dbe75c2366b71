"""The marts against a known truth: what a simulator meant to happen, not what it wrote.

Rows of all five systems arrive late, twice and out of order, and the marts are refreshed in between.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from orchestration import cli, database, simulated_staff, simulated_traffic, simulated_truth
from orchestration.errors import AgentbooksError
from orchestration.simulate import midnight
from orchestration.simulated_traffic import simulate_traffic
from orchestration.simulated_truth import truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import TestServer
    from refreshing import Refresher

    from orchestration.simulated_traffic import Traffic

    Row = dict[str, Any]

DAYS_BEFORE_THE_BUILD = 10
DAYS_BETWEEN_REFRESHES = 3

# What tells the rows of a mart apart; agents' names are unique in the simulated company.
GRAINS = {
    "agent_runs": ("source_system", "run_id"),
    "cost_daily": ("usage_date", "agent_name", "user_key", "model_recorded", "payer"),
    "cost_monthly": ("usage_month", "agent_name", "user_key", "model_recorded", "payer"),
    "unit_costs": ("run_month", "agent_name"),
    "users_daily": ("usage_date", "agent_name", "user_key"),
    "distributions_daily": (
        *("usage_date", "agent_name", "model_recorded", "tool_name", "payer", "measure"),
    ),
    "latency_daily": ("usage_date", "source_system", "payer", "measure"),
    "task_reliability": ("agent_name", "k"),
    "trust_progression": ("agent_name", "as_of_date"),
    "trust_transitions": ("agent_name", "changed_at"),
    "trust_current": ("agent_name",),
    "pattern_effectiveness": ("pattern_id",),
    "agent_performance": ("usage_date", "agent_name"),
    "routing_accuracy": ("usage_date", "routing_strategy", "agent_name", "is_cache_hit"),
    "hook_performance": ("usage_date", "hook_type", "hook_name", "tool_name"),
    "tool_usage": ("usage_date", "agent_name", "tool_name"),
    "handoffs_daily": ("usage_date", "source_system", "from_agent_name", "to_agent_name"),
    "agent_chains": ("source_system", "chain"),
    "endpoint_reliability": ("usage_date", "service", "endpoint"),
    "errors_daily": ("usage_date", "agent_name", "step", "error_type"),
    "error_analysis": ("source_system", "step", "error_type"),
}
HAVE_KEYS_ALONE = {
    "cost_daily",
    "cost_monthly",
    "users_daily",
    "distributions_daily",
    "trust_progression",
    "trust_transitions",
    "trust_current",
}
NOT_IN_EVERY_MART = {"source_system", "agent_version", "model_recorded", "domain"}
ESTIMATES = {
    *("success_rate", "posterior_mean", "pass_hat_k", "interval_low", "interval_high", "uplift"),
    *("cost_per_run_usd", "cost_per_successful_run_usd", "cost_per_approved_decision_usd"),
    *("cost_per_conversation_usd", "mean_confidence", "mean_quality_score", "mean_overhead_ms"),
}
SYSTEMS_OF_FURTHER_SEEDS = ("traceability", "agentic")
PERCENTILES = re.compile("p(50|90|95|99)(_|$)")


@dataclass
class World:
    """A database that traffic has come into, the marts over it, and the truth of each seed."""

    connection: psycopg.Connection[Any]
    truths: list[dict[str, Any]]

    def told(self, name: str) -> list[Row]:
        """The truth's rows of this name, of all seeds."""
        rows = [row for truth in self.truths for row in truth[name]]
        return [row for row in rows if of_one_seed(name, row)]

    def found(self, mart: str) -> list[Row]:
        """A mart's rows, with the agents' names where it has only their keys."""
        names = "select distinct agent_key, agent_name from marts.agent_runs"
        join = (
            f"inner join ({names}) as agents using (agent_key)" if mart in HAVE_KEYS_ALONE else ""
        )
        with self.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(f"select * from marts.{mart} {join}".encode()).fetchall()
        return [row for row in rows if of_one_seed(mart, row)]


def of_one_seed(mart: str, row: Row) -> bool:
    """Whether the seeds can be told apart: some marts add up all agents of a system."""
    adds_up = mart in ("latency_daily", "error_analysis")
    return not adds_up or row["source_system"] not in SYSTEMS_OF_FURTHER_SEEDS


@pytest.fixture(scope="module")
def world(empty_marts: Callable[[], Refresher]) -> Iterator[World]:
    """Seed 1 in all five systems, day by day; others only where there is something to estimate."""
    traffic = simulate_traffic(days=28, runs_per_day=20, seed=1)
    traceability, agentic = SYSTEMS_OF_FURTHER_SEEDS
    further = [simulate_traffic(28, 40, seed, of=(traceability,)) for seed in range(2, 9)]
    further += [simulate_traffic(28, 10, seed, of=(agentic,)) for seed in range(9, 22)]
    refresher = empty_marts()
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        for other in further:
            simulated_traffic.write(connection, other.writes)
        batches = list(traffic.batches())
        for _, writes in batches[:DAYS_BEFORE_THE_BUILD]:
            simulated_traffic.write(connection, writes)
        refresher.refresh(connection)
        for number, (_, writes) in enumerate(batches[DAYS_BEFORE_THE_BUILD:]):
            simulated_traffic.write(connection, writes)
            if number % DAYS_BETWEEN_REFRESHES == 0:
                refresher.refresh(connection)
        refresher.refresh(connection)
        yield World(connection, [truth(each) for each in (traffic, *further)])


def agree(true: Any, found: Any, column: str) -> bool:
    """Estimates to as many digits as the marts keep of intervals, percentiles to 1 %, all else exactly."""
    if PERCENTILES.match(column) and None not in (true, found):
        return bool(abs(found - true) <= Decimal(true) / 100)
    if column in ESTIMATES and true is not None and found is not None:
        return round(float(true), 9) == round(float(found), 9)
    return bool(true == found)


def key_of(row: Row, mart: str) -> tuple[str, ...]:
    """What tells a row of a mart apart."""
    values = (row[column] for column in GRAINS[mart])
    return tuple(
        str(value.astimezone(UTC) if isinstance(value, datetime) else value) for value in values
    )


@pytest.mark.parametrize("mart", GRAINS)
def test_every_row_of_a_mart_is_the_true_one(world: World, mart: str) -> None:
    """Catches any late, repeated or corrected row that a refresh has missed or counted twice."""
    [salt] = world.connection.execute("select salt from ops.pseudonym_salt").fetchone() or [None]
    expected: dict[tuple[str, ...], Row] = {}
    for told in world.told(mart):
        row = dict(told)
        if "user_id" in row:
            user = row.pop("user_id")
            digest = hashlib.sha256(f"{salt}:{user}".encode()).hexdigest()
            row["user_key"] = digest if user else None
        assert key_of(row, mart) not in expected, "the truth has two rows of one key"
        expected[key_of(row, mart)] = row
    rows = world.found(mart)
    found = {key_of(row, mart): row for row in rows}
    assert expected
    assert len(found) == len(rows), f"{mart} has two rows of one key"
    assert sorted(found.keys() - expected.keys()) == [], f"in {mart}, but nothing of it happened"
    assert sorted(expected.keys() - found.keys()) == [], f"it happened, and is not in {mart}"
    columns = expected[next(iter(expected))].keys() - next(iter(found.values())).keys()
    assert columns <= NOT_IN_EVERY_MART, f"{mart} has lost a column that the truth knows"
    wrong = [
        (key, column, row[column], found[key][column])
        for key, row in expected.items()
        for column in row
        if column in found[key] and not agree(row[column], found[key][column], column)
    ]
    assert wrong[:5] == [], f"{mart}: key, column, truth, mart"


def test_each_confidence_is_weighed_against_what_came_of_it(world: World) -> None:
    """Catches decisions in a wrong bin, judged twice, or judged though another agent took over."""
    expected: dict[tuple[str, int], Counter[str]] = {}
    for row in world.told("routing_reliability"):
        counts = Counter({name: row[name] for name in ("decisions", "successes", "squared_error")})
        expected.setdefault((row["confidence_kind"], row["bin"]), Counter()).update(counts)
    found = {
        (row["confidence_kind"], row["bin"]): row for row in world.found("routing_reliability")
    }
    assert {kind for kind, _ in found} == {
        *("score", "trigger", "context", "capability", "historical")
    }
    assert found.keys() == expected.keys()
    for key, counts in expected.items():
        assert {name: found[key][name] for name in counts} == dict(counts), key


def test_a_router_that_is_too_sure_is_told_from_one_that_is_not(world: World) -> None:
    """Catches a calibration that praises every confidence, or none."""
    found = {row["confidence_kind"]: row for row in world.found("routing_calibration")}
    assert found["score"]["decisions"] > 1000
    assert abs(found["score"]["overconfidence"] - Decimal(simulated_staff.TOO_SURE)) < 0.04
    assert abs(found["trigger"]["overconfidence"]) < 0.04
    assert found["trigger"]["brier_score"] < found["score"]["brier_score"]
    assert found["score"]["brier_score"] < found["context"]["brier_score"]
    assert found["trigger"]["calibration_error"] < 0.06 < found["score"]["calibration_error"]


def test_a_strategy_that_is_given_the_better_agents_is_no_better(world: World) -> None:
    """Catches an advantage that is the agents' own: strategies do nothing in the simulation.

    Of three strategies one may well be outside its 95 % interval, so that three standard errors are let pass.
    """
    found = {row["routing_strategy"]: row for row in world.found("routing_strategies")}
    learned = found["learned_pattern"]
    assert len(found) == 3
    assert learned["advantage"] < learned["success_rate"] - found["explicit"]["success_rate"]
    for row in found.values():
        assert row["compared_decisions"] > 100
        assert abs(row["advantage"]) <= 1.5306 * float(row["advantage_high"] - row["advantage"])


def test_the_head_of_a_dashboard_adds_up_the_day(world: World) -> None:
    """Catches a summary that leaves out a system, or counts a run once per error."""
    expected: dict[Any, Counter[str]] = {}
    for mart in ("agent_performance", "errors_daily"):
        names = {"agent_performance": ("runs", "failed_runs", "judged_runs", "successes")}
        for row in world.told(mart):
            counts = {name: row[name] for name in names.get(mart, ("errors",))}
            expected.setdefault(row["usage_date"], Counter()).update(counts)
    found = {row["usage_date"]: row for row in world.found("dashboard_summary")}
    assert found.keys() == expected.keys()
    for day, counts in expected.items():
        assert {name: found[day][name] for name in counts} == dict(counts), day


def share_inside(cases: list[tuple[float, Decimal, Decimal]]) -> float:
    """How often a true value lies in its interval."""
    return fmean(low <= value <= high for value, low, high in cases)


def test_true_uplifts_lie_in_their_intervals(world: World) -> None:
    """Catches an uplift that the better agents, who use a pattern more, lend to it."""
    found = {row["pattern_id"]: row for row in world.found("pattern_effectiveness")}
    compared = [(row["uplift"], found[row["pattern_id"]]) for row in world.told("patterns")]
    cases = [
        (uplift, row["uplift_low"], row["uplift_high"])
        for uplift, row in compared
        if row["uplift"] is not None
    ]
    assert len(cases) >= 40
    assert share_inside(cases) >= 0.9


@pytest.mark.parametrize(
    ("mart", "truths", "key"),
    [
        ("pattern_effectiveness", "patterns", "pattern_id"),
        ("trust_current", "agents", "agent_name"),
    ],
)
def test_true_rates_lie_in_their_intervals(world: World, mart: str, truths: str, key: str) -> None:
    """Catches a rate over runs or decisions that are not those that were judged."""
    found = {row[key]: row for row in world.found(mart)}
    cases = [
        (row["true_rate"], found[row[key]]["interval_low"], found[row[key]]["interval_high"])
        for row in world.told(truths)
        if row[key] in found
    ]
    assert len(cases) >= 40
    assert share_inside(cases) >= 0.9


def test_each_raw_row_is_there_once_however_often_it_was_sent(world: World) -> None:
    """Catches writers' second deliveries that become second rows."""
    expected: Counter[str] = Counter()
    for told in world.truths:
        expected.update(told["rows"])
    for table, count in expected.items():
        found = world.connection.execute(f"select count(*) from {table}".encode()).fetchone()
        assert found == (count,), f"{table} has other rows than were sent"


def test_a_second_delivery_leaves_the_audit_chain_whole(world: World) -> None:
    """Catches a chain that moves on for a row that is already in it, and then cries manipulation."""
    [chained] = world.connection.execute(
        "select count(*) from agentic.audit_chain_heads"
    ).fetchone() or [0]
    assert chained > 100
    assert (
        world.connection.execute("select * from agentic.audit_first_broken_link()").fetchall() == []
    )


@pytest.fixture(scope="module")
def large() -> Traffic:
    """More runs than a database would be filled with in a test."""
    return simulate_traffic(days=28, runs_per_day=400, seed=5)


def test_the_traffic_has_what_makes_refreshing_hard(large: Traffic) -> None:
    """Catches a simulator that has become so tame that the tests above prove nothing."""
    told = truth(large)
    arrivals = told["arrivals"]
    assert arrivals["days_late"] >= 140, "nothing comes very late any more"
    for trouble in ("sent_twice", "overtaken", "before_their_time"):
        assert arrivals[trouble] > 1000, f"hardly any row is {trouble}"
    assert {row["status"] for row in told["agent_runs"]} == {
        *("running", "succeeded", "failed", "cancelled")
    }
    assert any(row["calls_unpriced"] for row in told["cost_daily"])
    assert any(row["payer"] == "counterpart" for row in told["cost_daily"])
    assert any(row["agent_cost_recorded_usd"] for row in told["agent_runs"])
    assert any(run.started_at.date() < call.at.date() for run in large.runs for call in run.calls)
    assert {row["source_system"] for row in told["deletion_requests"]} == {
        *("observability", "traceability", "chat", "agentic")
    }


@pytest.mark.parametrize(
    ("model", "changed_on"), [("gpt-5.6-luna", "2026-07-30"), ("gpt-5.6-sol", "2026-08-21")]
)
def test_prices_change_within_the_period(large: Traffic, model: str, changed_on: str) -> None:
    """Catches a period without a change of prices: the right price on a day would not be tested."""
    book = simulated_truth.PriceBook()
    calls = [call for run in large.runs for call in run.calls if call.model.name == model]
    prices = {
        str(call.at.date()) >= changed_on: book.price(call.model, "input", call.at, 1)
        for call in calls
    }
    assert len(prices) == len(set(prices.values())) == 2


def test_prices_of_a_day_of_an_hour_and_of_a_size_are_told_apart(large: Traffic) -> None:
    """Catches a truth that is wrong itself: these figures are read off the seed by hand."""
    book = simulated_truth.PriceBook()
    at = midnight(large.last_day - timedelta(days=3))
    assert book.price(simulated_staff.SOL, "output", at, 1) == 30
    assert book.price(simulated_staff.SOL, "output", at, 272_000) == 30
    assert book.price(simulated_staff.SOL, "output", at, 272_001) == 45
    assert book.price(simulated_staff.SOL, "output", at + timedelta(days=1), 1) == 20
    by_the_hour = simulated_staff.BY_THE_HOUR
    assert book.price(by_the_hour, "input", at, 1) == Decimal("0.22")
    assert book.price(by_the_hour, "input", at + timedelta(hours=1), 1) == Decimal("0.3")
    assert book.price(simulated_staff.HOUSE, "input", at, 1) is None


def test_what_is_judged_comes_out_as_often_as_the_chances_say(large: Traffic) -> None:
    """Catches a truth that names other chances than the dice had."""
    for agent in simulated_staff.AGENTS:
        verdicts = [
            verdict
            for run in large.runs
            if run.agent == agent
            for verdict in (run.verdict, *(decision.verdict for decision in run.decisions))
            if verdict
        ]
        if verdicts:
            successes, expected = (
                fmean(verdict.success for verdict in verdicts),
                fmean(verdict.chance for verdict in verdicts),
            )
            assert successes == pytest.approx(expected, abs=1.8 / len(verdicts) ** 0.5), agent.name


def test_an_agent_jumps_on_its_day_and_another_drifts_to_its_end(large: Traffic) -> None:
    """Catches change days in the truth on which nothing changes."""
    agents = {row["agent_name"]: row for row in truth(large)["agents"]}
    jumping, drifting = agents["contract-reader-5"], agents["claims-clerk-5"]
    assert (jumping["course"], drifting["course"]) == ("jumps", "drifts")
    for run in large.runs:
        happened_at = run.started_at - run.agent.skew
        if run.verdict and run.agent_name == jumping["agent_name"]:
            is_after = happened_at >= jumping["changes_at"]
            assert run.verdict.chance == jumping["chance_to" if is_after else "chance_from"]
        if run.verdict and run.agent_name == drifting["agent_name"]:
            assert drifting["chance_from"] <= run.verdict.chance <= drifting["chance_to"]


def test_the_same_seed_gives_the_same_traffic_and_another_seed_no_common_id() -> None:
    """Catches draws that do not repeat, and two seeds that cannot share a database."""
    one, again, other = (simulate_traffic(3, 20, seed) for seed in (1, 1, 2))
    assert one == again
    assert {run.id for run in one.runs}.isdisjoint(run.id for run in other.runs)
    assert {run.agent_name for run in one.runs}.isdisjoint(run.agent_name for run in other.runs)


def test_a_system_is_the_same_with_and_without_the_others() -> None:
    """Catches draws of one system that move when another has more runs."""
    whole, part = simulate_traffic(3, 20), simulate_traffic(3, 20, of=("chat",))
    assert part.runs == [run for run in whole.runs if run.agent.system == "chat"]


def test_the_command_writes_traffic_and_truth_and_may_be_run_again(
    server18: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a truth that cannot be read back, and a second run that fails or doubles rows."""
    url = server18.database()
    monkeypatch.setenv(database.URL_VARIABLE, url)
    path = tmp_path / "truth.json"
    for _ in range(2):
        arguments = ["traffic", str(path), "--days", "2", "--runs-per-day", "20"]
        result = CliRunner().invoke(cli.app, arguments)
        assert result.exit_code == 0, result.output
    told = json.loads(path.read_text(), parse_float=Decimal)
    assert told["schema"] == "traffic-truth/1"
    with psycopg.connect(url) as connection:
        for table, count in told["rows"].items():
            found = connection.execute(f"select count(*) from {table}".encode()).fetchone()
            assert found == (count,), table


@pytest.mark.parametrize(("days", "runs_per_day"), [(0, 20), (5, 0)])
def test_a_period_without_days_or_runs_is_refused(days: int, runs_per_day: int) -> None:
    """Catches traffic of nothing that looks like a success."""
    with pytest.raises(AgentbooksError, match="give at least 1 of each"):
        simulate_traffic(days, runs_per_day)
