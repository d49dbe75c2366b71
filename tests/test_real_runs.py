"""The marts over real agent runs, against figures that were computed from the raw records.

The runs are no part of the project: AGENTBOOKS_RUNS names the folder that holds them, with
`runs_*.ndjson.gz` and `expected.json`.
"""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from orchestration import loader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from conftest import TestServer

RUNS = os.environ.get("AGENTBOOKS_RUNS")
pytestmark = pytest.mark.skipif(
    not RUNS, reason="AGENTBOOKS_RUNS names no folder with real runs and their expected.json"
)
EXPECTED: dict[str, Any] = (
    json.loads((Path(RUNS) / "expected.json").read_text())["files"] if RUNS else {}
)
FILES = sorted(name for name in EXPECTED if name.startswith("runs_"))


@pytest.fixture(scope="module")
def marts(
    server18: TestServer, build_marts: Callable[[str], None]
) -> Iterator[psycopg.Connection[Any]]:
    """The marts over all real runs, with a temporary table that tells which file each came from."""
    url = server18.database()
    with psycopg.connect(url, autocommit=True) as connection:
        paths = [Path(str(RUNS)) / name for name in FILES]
        summary = loader.load_agent_runs(connection, paths, undated_as=date(2025, 12, 15))
        assert summary.rejected == 0, summary.reasons
        build_marts(url)
        connection.execute(
            "create temporary view files as"
            " select run_id, regexp_replace(source_file, '.*/', '') as file from ops.loaded_runs"
        )
        yield connection


def ask(marts: psycopg.Connection[Any], query: str, file: str) -> dict[str, Any]:
    """Run a query over one file's runs and return its only row."""
    cursor = marts.execute(query.encode(), {"file": file})
    row = cursor.fetchone()
    assert row is not None
    return {column.name: value for column, value in zip(cursor.description or [], row, strict=True)}


def equal(found: Decimal | float | None, expected: float | None, what: str) -> None:
    """Compare as far as the rounding of the expected figures goes."""
    assert round(float(found or 0), 6) == pytest.approx(expected or 0, abs=1.01e-6), what


@pytest.mark.parametrize("file", FILES)
def test_totals_of_each_file_come_out_of_agent_runs(
    marts: psycopg.Connection[Any], file: str
) -> None:
    """Catches runs, messages, calls or tokens that are lost or counted twice on the whole way."""
    expected = EXPECTED[file]
    found = ask(
        marts,
        """
        select
            count(*) as runs,
            count(*) filter (where is_success) as successes,
            count(*) filter (where is_success is not null) as with_outcome,
            coalesce(sum(messages), 0) as messages,
            coalesce(sum(llm_calls), 0) as llm_calls,
            coalesce(sum(tool_calls), 0) as tool_calls,
            coalesce(sum(tool_errors), 0) as tool_errors,
            coalesce(sum(input_tokens), 0) as prompt_tokens,
            coalesce(sum(output_tokens), 0) as completion_tokens,
            coalesce(sum(cached_input_tokens), 0) as cached_tokens
        from marts.agent_runs inner join files using (run_id)
        where file = %(file)s
        """,
        file,
    )
    for name, value in found.items():
        if name in expected:
            assert value == expected[name], name


@pytest.mark.parametrize("file", FILES)
def test_recorded_costs_come_out_exactly(marts: psycopg.Connection[Any], file: str) -> None:
    """Catches costs that pass through binary floating point, or fees taken for calls."""
    expected = EXPECTED[file]["cost_usd"]
    found = ask(
        marts,
        """
        select
            sum(agent_cost_usd) filter (where llm_calls > 0) as agent_message_cost,
            sum(counterpart_cost_usd) filter (where llm_calls > 0) as counterpart_message_cost,
            sum(agent_cost_recorded_usd) as agent_cost_recorded
        from marts.agent_runs inner join files using (run_id)
        where file = %(file)s
        """,
        file,
    )
    for name, value in found.items():
        equal(value, expected.get(name), name)


@pytest.mark.parametrize("file", FILES)
def test_days_come_out_of_agent_runs(marts: psycopg.Connection[Any], file: str) -> None:
    """Catches runs that slip to another day through a time zone."""
    found = marts.execute(
        """
        select
            (started_at at time zone 'UTC')::date::text,
            count(*),
            count(*) filter (where is_success),
            sum(coalesce(agent_cost_usd, 0) + coalesce(counterpart_cost_usd, 0))
        from marts.agent_runs inner join files using (run_id)
        where file = %s
        group by 1
        """,
        (file,),
    ).fetchall()
    by_day = EXPECTED[file]["by_day"]
    if not by_day:
        return
    assert {day for day, *_ in found} == set(by_day)
    for day, runs, successes, cost in found:
        assert (runs, successes) == (by_day[day]["runs"], by_day[day]["successes"]), day
        equal(cost, by_day[day]["message_cost_usd"], day)


@pytest.mark.parametrize("file", FILES)
def test_models_come_out_of_cost_daily(marts: psycopg.Connection[Any], file: str) -> None:
    """Catches calls billed to the wrong model or side."""
    totals: dict[tuple[str, str], dict[str, Any]] = {}
    rows = marts.execute(
        """
        select
            cost_daily.payer,
            cost_daily.model_recorded,
            sum(cost_daily.llm_calls),
            sum(cost_daily.input_tokens),
            sum(cost_daily.output_tokens),
            coalesce(sum(cost_daily.cached_input_tokens), 0),
            sum(cost_daily.reported_cost_usd)
        from marts.cost_daily
        where cost_daily.workflow in (
            select agent_runs.workflow
            from marts.agent_runs inner join files using (run_id)
            where file = %s
        )
        and cost_daily.llm_calls > 0
        group by 1, 2
        """,
        (file,),
    ).fetchall()
    for payer, model, *figures in rows:
        totals[payer, model] = dict(
            zip(
                ("calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd"),
                figures,
                strict=True,
            )
        )
    expected = {(row["side"], row["model"]): row for row in EXPECTED[file]["by_model"]}
    assert totals.keys() == expected.keys()
    for key, figures in totals.items():
        for name, value in figures.items():
            if name == "cost_usd":
                equal(value, expected[key][name], f"{key} {name}")
            else:
                assert value == expected[key][name], f"{key} {name}"


@pytest.mark.parametrize("file", FILES)
def test_tools_come_out_of_the_tool_calls(marts: psycopg.Connection[Any], file: str) -> None:
    """Catches results attached to the wrong call where ids repeat within a run."""
    for tool, expected in EXPECTED[file]["tools"].items():
        if tool == "None":
            continue
        found = ask(
            marts,
            f"""
            select count(*) as calls, count(*) filter (where is_error) as errors
            from intermediate.int_tool_calls__unioned inner join files using (run_id)
            where file = %(file)s and tool_name = '{tool.replace("'", "''")}'
            """,
            file,
        )
        assert found == expected, tool


@pytest.mark.parametrize("file", FILES)
def test_durations_come_out_of_agent_runs(marts: psycopg.Connection[Any], file: str) -> None:
    """Catches durations rounded on the way, or taken from end minus start where one is recorded."""
    expected = EXPECTED[file]["duration_s"]
    found = ask(
        marts,
        """
        select
            count(duration_ms) as n,
            percentile_cont(0.5) within group (order by duration_ms) / 1000 as p50,
            percentile_cont(0.95) within group (order by duration_ms) / 1000 as p95,
            avg(duration_ms) / 1000 as mean
        from marts.agent_runs inner join files using (run_id)
        where file = %(file)s
        """,
        file,
    )
    assert found.pop("n") == expected["n"]
    for name, value in found.items():
        equal(value, expected[name], name)


@pytest.mark.parametrize("file", FILES)
def test_experiments_are_workflows(marts: psycopg.Connection[Any], file: str) -> None:
    """Catches runs of one batch filed under another."""
    found = marts.execute(
        """
        select workflow, count(*), count(*) filter (where is_success)
        from marts.agent_runs inner join files using (run_id)
        where file = %s
        group by workflow
        """,
        (file,),
    ).fetchall()
    assert {name: {"runs": runs, "successes": good} for name, runs, good in found} == {
        name: {"runs": row["runs"], "successes": row["successes"]}
        for name, row in EXPECTED[file]["experiments"].items()
    }


def test_reliability_of_each_group_comes_out_of_task_reliability(
    marts: psycopg.Connection[Any],
) -> None:
    """Catches a wrong estimator of pass^k, or trials of one task counted under another."""
    groups = [group for file in FILES for group in EXPECTED[file]["groups"]]
    assert groups
    for group in groups:
        rows = marts.execute(
            """
            select k, runs, successes, success_rate, tasks, pass_hat_k
            from marts.task_reliability
            where
                agent_name = %s and agent_version is not distinct from %s
                and model_recorded = %s and domain = %s
            """,
            (group["agent"], group["version"], group["model"], group["domain"]),
        ).fetchall()
        assert len(rows) == 4, group
        for k, runs, successes, success_rate, tasks, pass_hat_k in rows:
            assert (runs, successes) == (group["runs"], group["successes"]), group
            equal(success_rate, group["success_rate"], f"{group} success rate")
            assert tasks == group.get(f"pass^{k}_tasks", 0), group
            if tasks:
                equal(pass_hat_k, group[f"pass^{k}"], f"{group} pass^{k}")


def test_trust_progression_ends_at_the_groups_totals(marts: psycopg.Connection[Any]) -> None:
    """Catches decisions that are missing from, or doubled in, an agent's progression."""
    for group in (group for file in FILES for group in EXPECTED[file]["groups"]):
        rows = marts.execute(
            """
            select decisions, successes
            from marts.trust_current
            inner join (
                select distinct agent_key, agent_name, agent_version, model_recorded
                from marts.agent_runs
            ) as agents using (agent_key)
            where
                agent_name = %s and agent_version is not distinct from %s
                and model_recorded = %s and domain = %s
            """,
            (group["agent"], group["version"], group["model"], group["domain"]),
        ).fetchall()
        assert rows == [(group["runs"], group["successes"])], group


def test_reported_costs_are_reconciled(marts: psycopg.Connection[Any]) -> None:
    """Catches differences that are explained away, or calls that the reconciliation leaves out."""
    found = {
        model: (calls, equal_calls, computed)
        for model, calls, equal_calls, computed in marts.execute(
            "select model_recorded, sum(llm_calls)::int,"
            " coalesce(sum(llm_calls) filter (where explanation = 'equal'), 0)::int,"
            " sum(computed_cost_usd)"
            " from marts.cost_reconciliation group by model_recorded"
        )
    }
    expected: dict[str, list[float]] = {}
    for file in FILES:
        for model, figures in EXPECTED[file]["cost_recomputation"].items():
            sums = expected.setdefault(model, [0, 0, 0])
            for place, name in enumerate(("calls", "match", "recomputed")):
                sums[place] += figures[name]
    assert {model: calls for model, (calls, *_) in found.items()} == {
        model: calls for model, (calls, *_) in expected.items()
    }
    # Resellers' prices differ between price books: only what both price alike is compared.
    alike = {
        model
        for model, (*_, computed) in found.items()
        if computed and float(computed) == pytest.approx(expected[model][2], abs=1e-5)
    }
    assert len(alike) >= 10
    assert {model: found[model][1] for model in alike} == {
        model: expected[model][1] for model in alike
    }
