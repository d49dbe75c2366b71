"""Learning: what is mined from runs, how often it may run, and how it dies."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from pattern_runs import COMPUTED, REPEATED, draw_patterns, judge, write_patterns

from orchestration import learn, loader
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refreshing import Refresher

FIRST = datetime(2026, 3, 1, 8, tzinfo=UTC)
WRITTEN = (
    "traceability.success_patterns",
    "traceability.agent_chaining_patterns",
    "traceability.error_patterns",
    "traceability.pattern_usage_log",
    "ops.learned_counts",
    "ops.learned_months",
)


def run(number: int, tools: list[str], *, success: bool, days: int = 0) -> dict[str, Any]:
    """An agent-run record that calls these tools, a second apart."""
    start = FIRST + timedelta(days=days, minutes=number)
    calls = [
        {
            "role": "assistant",
            "timestamp": (start + timedelta(seconds=second)).isoformat(),
            "tool_calls": [{"id": f"c{second}", "name": tool, "arguments": {}}],
        }
        for second, tool in enumerate(tools, 1)
    ]
    failed = None if success else f"order {number} of 'x{number}' timed out after {number}.5 s"
    return {
        "schema": "agent-run/1",
        "run_id": f"run {number}",
        "agent": {"name": "walker", "model": "gpt-4.1-mini"},
        "domain": "retail",
        "task_id": f"task {number % 5}",
        "started_at": start.isoformat(),
        "duration_s": 9,
        "success": success,
        "termination_reason": None if failed is None else "error",
        "error_message": failed,
        "messages": calls,
    }


def write_runs(path: Path, runs: list[dict[str, Any]]) -> Path:
    """Write records as a file to load."""
    records = ({k: v for k, v in record.items() if v is not None} for record in runs)
    path.write_text("\n".join(map(json.dumps, records)))
    return path


RUNS = [
    # find, then pay: 20 runs; find, look around, pay: 20; neither often enough: 3.
    *(run(n, ["find", "find", "pay", "mail"], success=n % 4 > 0) for n in range(20)),
    *(run(n, ["find", "look", "pay"], success=n % 4 == 0) for n in range(20, 40)),
    *(run(n, ["rare", "find"], success=True) for n in range(40, 43)),
]


@pytest.fixture(scope="module")
def refresher(
    empty_marts: Callable[[], Refresher], tmp_path_factory: pytest.TempPathFactory
) -> Refresher:
    """A database with the runs, and the marts over it."""
    built = empty_marts()
    path = write_runs(tmp_path_factory.mktemp("runs") / "runs.ndjson", RUNS)
    with psycopg.connect(built.url, autocommit=True) as connection:
        loader.load_agent_runs(connection, [path])
        built.refresh(connection)
    return built


@pytest.fixture
def connection(refresher: Refresher) -> Iterator[psycopg.Connection]:
    """A connection to it."""
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        yield connection


def content(connection: psycopg.Connection) -> dict[str, list[Any]]:
    """Every row that learning may write."""
    return {
        table: connection.execute(
            f"select t::text from {table} as t order by 1".encode()
        ).fetchall()
        for table in WRITTEN
    }


def learned(connection: psycopg.Connection) -> dict[str, tuple[Any, ...]]:
    """Learned patterns with their counters."""
    rows = connection.execute(
        "select array_to_string(tool_sequence, ' '), success_count, failure_count"
        " from traceability.success_patterns where pattern_hash like 'learned:%'"
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_frequent_sequences_are_learned_with_all_their_uses(connection: psycopg.Connection) -> None:
    """Catches rare or swallowed sequences, uses that are missed, and learning from failures alone."""
    learn.learn(connection)
    assert learned(connection) == {
        "find pay mail": (15, 5),
        "find look pay": (5, 15),
    }
    uses = connection.execute(
        "select count(*), count(distinct metadata ->> 'run_id'), count(*) filter (where success)"
        " from traceability.pattern_usage_log where metadata ? 'learned'"
    ).fetchone()
    assert uses == (40, 40, 20)


def test_errors_are_of_one_kind_whatever_numbers_they_name(connection: psycopg.Connection) -> None:
    """Catches a kind of error for every order number."""
    learn.learn(connection)
    assert connection.execute(
        "select error_message_pattern, error_count, affected_agents from traceability.error_patterns"
    ).fetchall() == [("order <n> of <value> timed out after <n> s", 20, ["walker"])]


def test_learning_again_changes_nothing(
    connection: psycopg.Connection, refresher: Refresher
) -> None:
    """Catches counters that grow with every night, and learning from what learning wrote."""
    learn.learn(connection)
    before = content(connection)
    assert learn.learn(connection).months == 0
    refresher.refresh(connection)
    learn.learn(connection)
    connection.execute("update ops.learned_months set runs_seen = ''")
    learn.learn(connection)
    after = content(connection)
    assert before.pop("ops.learned_months") != after.pop("ops.learned_months")
    assert before == after


def test_its_uses_reach_the_marts(connection: psycopg.Connection, refresher: Refresher) -> None:
    """Catches learned uses that no run is found for."""
    learn.learn(connection)
    refresher.refresh(connection)
    row = connection.execute(
        "select uses, successes, compared_runs, is_learned from marts.pattern_effectiveness"
        " where pattern = '… find → pay → mail …'"
    ).fetchone()
    assert row == (20, 15, 20, True)


def test_a_verdict_that_changes_changes_the_counters(
    connection: psycopg.Connection, refresher: Refresher, tmp_path: Path
) -> None:
    """Catches a use that keeps the outcome its run had when it was learned, and new runs left out."""
    learn.learn(connection)
    verdict = "update agentic.agent_decisions set user_feedback = %s where metadata ->> 'run_id' = 'run 0'"
    connection.execute(verdict.encode(), ("approved",))
    new = [run(50, ["find", "pay", "mail"], success=True, days=1)]
    loader.load_agent_runs(connection, [write_runs(tmp_path / "new.ndjson", new)])
    refresher.refresh(connection)
    learn.learn(connection)
    assert learned(connection)["find pay mail"] == (17, 4)
    connection.execute(verdict.encode(), ("rejected",))
    connection.execute("delete from observability.traces where metadata ->> 'run_id' = 'run 50'")
    connection.execute("delete from agentic.agent_sessions where metadata ->> 'run_id' = 'run 50'")
    refresher.refresh(connection)
    learn.learn(connection)
    assert learned(connection)["find pay mail"] == (15, 5)


def test_a_pruned_pattern_leaves_a_tombstone_and_is_not_learned_again(
    connection: psycopg.Connection, refresher: Refresher
) -> None:
    """Catches effectiveness that drifts upward as failures are deleted."""
    learn.learn(connection)
    refresher.refresh(connection)
    average = (
        "select sum(successes), sum(judged_uses) from marts.pattern_effectiveness where is_learned"
    )
    before = connection.execute(average.encode()).fetchone()
    with connection.transaction():
        connection.execute("set local agentbooks.prune_reason = 'fails too often'")
        connection.execute(
            "delete from traceability.success_patterns where tool_sequence = '{find,look,pay}'"
            " and pattern_hash like 'learned:%'"
        )
    assert connection.execute(
        "select pattern, uses, judged_uses, successes, reason from ops.pruned_patterns"
    ).fetchall() == [("… find → look → pay …", 20, 20, 5, "fails too often")]
    connection.execute("update ops.learned_months set runs_seen = ''")
    learn.learn(connection)
    refresher.refresh(connection)
    assert list(learned(connection)) == ["find pay mail"]
    assert connection.execute(average.encode()).fetchone() == before
    assert refresher.differences(connection) == []


def test_two_at_once_learn_as_one(connection: psycopg.Connection, refresher: Refresher) -> None:
    """Catches a second job that counts what the first is about to commit."""
    connection.execute("delete from ops.learned_counts")
    connection.execute("delete from ops.learned_months")
    months = []

    def work() -> None:
        with psycopg.connect(refresher.url, autocommit=True) as other:
            months.append(learn.learn(other).months)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(months) == [0, 1]
    assert learned(connection)["find pay mail"] == (15, 5)


def test_a_death_half_way_leaves_nothing_half_done(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a month that counts as learned with half of its uses."""
    learn.learn(connection)
    connection.execute("update ops.learned_months set runs_seen = ''")
    before = content(connection)
    for place in range(len(learn.WRITE)):
        with monkeypatch.context() as broken:
            broken.setattr(learn, "WRITE", (*learn.WRITE[:place], "select 1 / 0"))
            with pytest.raises(psycopg.errors.DivisionByZero):
                learn.learn(connection)
        assert content(connection) == before


def test_without_marts_it_says_what_to_do(raw: psycopg.Connection) -> None:
    """Catches a traceback where a sentence would do."""
    raw.execute(
        "insert into ops.refreshed_periods (target, period, rows_before, rows_after, seen, model_hash)"
        " values ('marts.agent_runs', '2026-03-01', 0, 1, pg_current_snapshot(), '')"
    )
    with pytest.raises(AgentbooksError, match="run `dbt build`"):
        learn.learn(raw)


def test_uplift_is_true_and_rarely_called_by_chance(
    connection: psycopg.Connection, refresher: Refresher
) -> None:
    """Catches intervals that are too narrow, and credit for easy tasks (bounds: five standard errors)."""
    drawn = draw_patterns(REPEATED, patterns=200, seed=7)
    write_patterns(connection, drawn)
    for name in COMPUTED:
        refresher.run(connection, name, refresher.statements[name], is_full=True)
    quality = judge(connection, drawn)
    assert quality.patterns == 200
    assert quality.coverage > 0.87
    assert quality.null_kept <= 0.05
    assert abs(quality.matched_bias) < quality.raw_bias / 3


@pytest.mark.skipif("AGENTBOOKS_RUNS" not in os.environ, reason="needs AGENTBOOKS_RUNS")
def test_error_messages_of_real_runs_are_of_few_kinds(raw: psycopg.Connection) -> None:
    """Catches a normalisation that leaves every message its own kind."""
    from datetime import date

    files = sorted(Path(os.environ["AGENTBOOKS_RUNS"]).glob("runs_*.ndjson.gz"))
    loader.load_agent_runs(raw, files, date(2025, 12, 15))
    messages, kinds = raw.execute(
        "select count(distinct error), count(distinct traceability.error_message_pattern(error))"
        " from observability.traces"
    ).fetchone() or (0, 0)
    assert messages > 100
    assert kinds < messages / 2
