"""Trust from raw rows to marts, and how often the policies err."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from orchestration import trust_test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refreshing import Refresher

SETTING = """
insert into agentic.agents (agent_id, name, persona_type, capabilities)
select md5(name)::uuid, name, 'developer', '{}' from unnest(array['steady', 'struck', 'idle']) as name;
insert into agentic.agent_sessions (session_id, agent_id, started_at, trust_level, context)
select md5(name)::uuid, md5(name)::uuid, '2026-02-01', 3, '{"domain": "d"}'
from unnest(array['steady', 'struck', 'idle']) as name;
insert into agentic.agent_decisions (
    session_id, decision_id, decision_type, input_context, action_taken, user_feedback, confidence_score,
    created_at
)
select
    md5(name)::uuid, md5(n::text)::uuid, 'review', '{}', '{}',
    case when n % 25 = 20 then 'modified' else 'approved' end, 0.5 + (n % 5) / 10.0,
    timestamptz '2026-02-01 00:00+00' + interval '3 hours' * n
from unnest(array['steady', 'struck', 'idle']) as name
cross join generate_series(1, case name when 'idle' then 60 else 400 end) as n;
insert into agentic.agent_audit_log
    (agent_id, session_id, action_type, action_details, risk_level, timestamp)
select md5('struck')::uuid, md5('struck')::uuid, 'review', details::jsonb, risk, at::timestamptz
from (values
    ('{"status": "failed", "rollback_available": false}', 'critical', '2026-03-20 12:30+00'),
    ('{"status": "done", "rollback_available": true}', 'low', '2026-03-21 12:30+00'),
    ('{"status": "failed"}', 'high', '2026-03-21 13:30+00')
) as audited (details, risk, at)
"""
CURRENT = """
select
    level, level_since::text, level_at_low_risk, level_at_medium_risk, level_at_high_risk,
    level_at_critical_risk, falls_on::text, fell_on::text
from marts.trust_current
inner join marts.agent_runs using (agent_domain_key)
where agent_runs.agent_name = %s
"""


@pytest.fixture(scope="module")
def refresher(empty_marts: Callable[[], Refresher]) -> Refresher:
    """Three agents: one steady, one with a critical failure, one that stops."""
    built = empty_marts()
    with psycopg.connect(built.url, autocommit=True) as connection:
        for statement in SETTING.split(";"):
            connection.execute(statement.encode())
        built.refresh(connection)
    return built


@pytest.fixture
def connection(refresher: Refresher) -> Iterator[psycopg.Connection[Any]]:
    """A connection to it, on which nothing stays."""
    with psycopg.connect(refresher.url) as connection:
        yield connection
        connection.rollback()


def history(connection: psycopg.Connection[Any], agent: str) -> list[tuple[Any, ...]]:
    """The changes of an agent's level."""
    return connection.execute(
        "select changed_at, from_level, to_level, rule from marts.trust_transitions"
        " inner join marts.agent_runs using (agent_domain_key)"
        " where agent_runs.agent_name = %s order by changed_at, trust_transitions_key",
        (agent,),
    ).fetchall()


def test_an_agent_rises_step_by_step_and_a_level_holds_for_its_risk(
    connection: psycopg.Connection[Any],
) -> None:
    """Catches steps that are skipped, and a level that is good for any risk."""
    steps = history(connection, "steady")
    assert [step[1:] for step in steps] == [(n, n + 1, "evidence") for n in range(4)]
    waited = [after[0] - before[0] for before, after in pairwise(steps)]
    assert all(span >= timedelta(days) for span, days in zip(waited, (1, 3, 7), strict=True)), (
        waited
    )
    [(level, since, *by_risk, falls_on, fell_on)] = connection.execute(
        CURRENT, ("steady",)
    ).fetchall()
    assert (level, since) == (4, str(steps[-1][0].astimezone(UTC).date()))
    assert by_risk == [4, 4, 3, 2]
    assert (falls_on, fell_on) == ("2026-04-22", None)


def test_a_critical_failure_takes_all_trust_at_once(connection: psycopg.Connection[Any]) -> None:
    """Catches a failure that waits for the next decision, and one of another risk that takes trust too."""
    struck = [step for step in history(connection, "struck") if step[3] != "evidence"]
    at = datetime(2026, 3, 20, 12, 30, tzinfo=UTC)
    assert struck == [(at, 4, 0, "critical_failure")]
    assert max(step[0] for step in history(connection, "struck")) == at, "there is a cooldown"


def test_an_idle_agent_loses_a_level_each_30_days(connection: psycopg.Connection[Any]) -> None:
    """Catches trust that outlives its evidence; and a mart that reads a clock to tell."""
    [(level, since, *_, falls_on, fell_on)] = connection.execute(CURRENT, ("idle",)).fetchall()
    reached = history(connection, "idle")[-1][2]
    assert (level, since, fell_on) == (reached - 1, "2026-03-10", "2026-03-10")
    assert falls_on == (None if level == 0 else "2026-04-09")


def test_what_was_granted_is_compared_with_the_evidence_of_the_days_before(
    connection: psycopg.Connection[Any],
) -> None:
    """Catches a level that is judged by what came after it was granted."""
    assert connection.execute(
        "select distinct trust_level_recorded, trust_level_supported, verdict"
        " from marts.trust_vs_recorded"
    ).fetchall() == [(3, 0, "more than the evidence supports")]


def test_calibration_is_told_by_risk(connection: psycopg.Connection[Any]) -> None:
    """Catches a risk that is taken from another day, and a verdict from a handful of decisions."""
    found = connection.execute(
        "select agent_runs.agent_name, risk_level, decisions, verdict from marts.confidence_calibration"
        " inner join marts.agent_runs using (agent_key) order by 1, 2"
    ).fetchall()
    assert found == [
        ("idle", "unknown", 60, "under-confident"),
        ("steady", "unknown", 400, "under-confident"),
        ("struck", "critical", 8, "unclear"),
        ("struck", "high", 3, "unclear"),
        ("struck", "low", 5, "unclear"),
        ("struck", "unknown", 384, "under-confident"),
    ]


def test_days_whose_order_is_gone_stand_by_their_checkpoint(
    refresher: Refresher, connection: psycopg.Connection[Any]
) -> None:
    """Catches a replay that loses what frozen days led to, or guesses it without a checkpoint."""
    tables = {
        name: refresher.statements[name]
        for name in ("intermediate.int_trust__folded", "marts.trust_progression", "marts.trust_transitions")
    }  # fmt: skip

    def rows() -> list[Any]:
        return [
            connection.execute(f"select t::text from {name} as t order by 1".encode()).fetchall()
            for name in tables
        ]

    def rebuild() -> None:
        for name, statement in tables.items():
            refresher.run(connection, name, statement, is_full=True)

    before = rows()
    cut = (
        "update intermediate.int_decisions__daily set outcomes = null, decided_ats = null"
        " where decided_date <= '2026-03-01'"
    )
    connection.execute("savepoint whole")
    connection.execute(cut)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="restore the raw rows"):
        rebuild()
    connection.execute("rollback to savepoint whole")
    kept = connection.execute(
        "select sum(ops.checkpoint_trust('intermediate.int_trust__folded', day::date))"
        " from generate_series(date '2026-02-01', date '2026-03-01', interval '1 day') as day"
    ).fetchall()
    assert kept[0][0] > 60
    connection.execute(cut)
    rebuild()
    assert rows() == before


def test_five_successes_raise_accuracy_and_confidence_but_not_the_level(
    raw: psycopg.Connection[Any],
) -> None:
    """Catches derived metrics that double on a second run, or overrule the application's own."""
    raw.execute(
        "insert into agentic.agents (agent_id, name, persona_type, capabilities)"
        " values (md5('a')::uuid, 'a', 'qa', '{}')"
    )
    raw.execute(
        "insert into agentic.agent_sessions (session_id, agent_id, started_at)"
        " select md5(n)::uuid, md5('a')::uuid, '2026-02-01' from unnest(array['own', 'derived']) as n"
    )
    raw.execute(
        "insert into agentic.trust_metrics (session_id, metric_type, metric_value)"
        " values (md5('own')::uuid, 'accuracy', 12)"
    )
    decide = (
        "insert into agentic.agent_decisions"
        " (session_id, decision_type, input_context, action_taken, user_feedback, created_at)"
        " select md5(n)::uuid, 'review', '{}', '{}', %s, timestamptz '2026-02-01' + %s * interval '1 hour'"
        " from unnest(array['own', 'derived']) as n"
    )
    read = (
        "select metric_value, measurement_context ->> 'confidence_trend' from agentic.trust_metrics"
        " where session_id = md5('derived')::uuid"
    )
    for hour, feedback in enumerate(("rejected", "approved", "pending")):
        raw.execute(decide, (feedback, hour))
    assert raw.execute("select agentic.derive_trust_metrics()").fetchall() == [(1,)]
    [(accuracy, _)] = raw.execute(read).fetchall()
    for hour in range(3, 8):
        raw.execute(decide, ("approved", hour))
    assert raw.execute("select agentic.derive_trust_metrics()").fetchall() == [(1,)]
    [(raised, trend)] = raw.execute(read).fetchall()
    assert (accuracy, raised > accuracy, trend) == (50, True, "rising")
    assert raw.execute("select agentic.derive_trust_metrics()").fetchall() == [(0,)]
    assert raw.execute(
        "select metric_value from agentic.trust_metrics where session_id = md5('own')::uuid"
    ).fetchall() == [(12,)]
    assert raw.execute("select distinct trust_level from agentic.agent_sessions").fetchall() == [
        (0,)
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("trust_levels set accept_rate = 0.8 where level = 4",
         "level 4 (Autonomous) accepts at 0.8 and rejects at 0.85"),
        ("trust_levels set alpha = 0 where level = 2", "level 2 (Supervised) has the error rates 0 and"),
        ("trust_levels set level = 3 where level = 4", "level 4 is missing"),
        ("trust_levels set up_to_risk = 'mad' where level = 1", "unknown risk (mad)"),
        ("trust_levels set decisions_per_false_demotion = 3 where level = 4", "would be lost by mistake"),
        ("trust_policies set policy = 'gut'", "policy gut is unknown"),
        ("trust_policies set policy = 'story'", "policy sequential is chosen by the var"),
        ("trust_policies set window_days = null where policy = 'story'", "fill in window_days"),
    ],
)  # fmt: skip
def test_levels_that_cannot_be_meant_are_told_in_a_sentence(
    connection: psycopg.Connection[Any], faults: str, change: str, sentence: str
) -> None:
    """Catches thresholds that promote everybody, or nobody, without a word."""
    assert connection.execute(faults.encode()).fetchall() == []
    connection.execute(f"update seeds.{change}".encode())
    told = [fault for (fault,) in connection.execute(faults.encode())]
    assert any(sentence in fault for fault in told), told


@pytest.fixture(scope="module")
def faults(refresher: Refresher) -> str:
    """The query of the seeds' test."""
    from conftest import ROOT

    text = (ROOT / "tests" / "assert_trust_levels_can_be_taken.sql").read_text()
    return (
        text.replace('{{ ref("trust_levels") }}', "seeds.trust_levels")
        .replace('{{ ref("trust_policies") }}', "seeds.trust_policies")
        .replace('{{ var("trust_policy") }}', "sequential")
    )


def test_the_default_policy_errs_as_rarely_as_it_promises(
    connection: psycopg.Connection[Any],
) -> None:
    """Catches thresholds under which agents are promoted by luck, or falls are seen too late.

    The draws are the same each time, so that the bounds cannot fail by chance.
    """
    result = trust_test.measure(connection, agents=400, seed=3)
    found = {(one.rule, one.measure, one.success_rate): one.value for one in result.figures}
    default = "sequential (default)"
    assert found[default, "promoted", 0.85] <= 0.05
    assert found[default, "promoted", 0.95] >= 0.9
    assert found[default, "median decisions to detect a drop to 0.70", 0.95] <= 25
    assert found[default, "false demotions per 1,000 decisions", 0.95] < 1
    # The rules in use elsewhere promote these agents nearly always.
    assert found["20 in a row", "promoted", 0.85] > 0.75
    assert found["mean over 0.85 after 8", "promoted", 0.85] > 0.9
