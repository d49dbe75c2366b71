"""The SQL fold of trust against a second one in Python, on logs that hypothesis makes up."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.simulated_trust import Event, Policy, Step, read_policy, replay

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 3, 1, tzinfo=UTC)
# Steps that are quick to climb and to fall from, so that short logs go through all of them.
QUICK = Policy(
    cooldown_days=2,
    idle_days=5,
    steps=tuple(
        Step(*map(Decimal, ("0.9", reject, "0.4", "0.3")), least, dwell, Decimal(often))
        for reject, least, dwell, often in (
            ("0.2", 1, 0, 5), ("0.3", 3, 1, 9), ("0.2", 2, 0, 20), ("0.4", 4, 3, 9)
        )
    ),
)  # fmt: skip
STORY = Policy(1, 4, (), 7, 3, Decimal("0.2"), Decimal("0.7"), Decimal("0.6"))

FOLD = """
with given as (
    select
        day,
        (%(days)s::ops.trust_day[])[number] as counts,
        %(outcomes)s::jsonb -> (number - 1)::int as outcomes,
        %(ats)s::jsonb -> (number - 1)::int as ats
    from unnest(%(dates)s::date[]) with ordinality as u (day, number)
),

folded as (
    select
        day,
        ops.trust_fold(
            (%(known)s)::ops.trust_state,
            (%(policy)s)::ops.trust_policy,
            counts,
            array(select jsonb_array_elements_text(outcomes)::smallint),
            array(select jsonb_array_elements_text(ats)::timestamptz)
        ) over (order by day) as state
    from given
)

select
    day, state::text, (state).level, (state).level_since, (state).last_at, (state).promotes_from,
    (state).decisions, (state).successes, (state).level_decisions, (state).level_successes,
    (state).attempts, (state).evidence, (state).evidence_needed, (state).decline,
    array(
        select jsonb_build_array(extract(epoch from c.changed_at), c.from_level, c.to_level, c.rule)
        from unnest((state).changes) as c
    )
from folded
order by day
"""

events = st.lists(
    st.tuples(
        # Mostly within the hour, sometimes days later.
        st.sampled_from([0, 1, 1, 1, 13, 24, 30, 130, 400]),
        st.sampled_from([True, True, True, True, True, False, False, None]),
        st.booleans(),
        st.sampled_from([None, Decimal("0.5"), Decimal("0.61"), Decimal("0.9")]),
    ),
    min_size=1,
    max_size=60,
)


def compiled(policy: Policy) -> str:
    """Write a policy as the fold takes it."""

    def row(values: list[Any]) -> str:
        return "{" + ",".join(map(str, values)) + "}"

    def millionths(number: Decimal) -> int:
        return round(number * 1_000_000)

    steps = policy.steps
    by_evidence: list[Any] = [None] * 7 if not steps else [
        row([millionths(step.weights[1]) for step in steps]),
        row([millionths(step.weights[0]) for step in steps]),
        row([millionths(-step.alpha.ln()) for step in steps]),
        row([millionths((step.beta / (1 - step.alpha)).ln()) for step in steps]),
        row([step.demotes_at for step in steps]),
        row([step.min_decisions for step in steps]),
        row([step.dwell_days for step in steps]),
    ]  # fmt: skip
    by_window: list[Any] = [None] * 5 if policy.window_days is None else [
        policy.window_days, policy.min_decisions, policy.max_rejection_rate, policy.min_success_rate,
        policy.min_confidence,
    ]  # fmt: skip
    values = ["test", *by_evidence, policy.cooldown_days, policy.idle_days, *by_window]
    return "(" + ",".join("" if value is None else f'"{value}"' for value in values) + ")"


def folded(
    connection: psycopg.Connection[Any], log: list[Event], policy: str, known: str | None = None
) -> list[tuple[Any, ...]]:
    """Fold a log in SQL."""
    days = [(day, list(of_day)) for day, of_day in groupby(log, key=lambda event: event.at.date())]
    counts = []
    for day, of_day in days:
        told = [event.confidence for event in of_day if event.confidence is not None]
        judged = [event for event in of_day if event.approved is not None]
        numbers = (
            day, len(judged), sum(event.approved is True for event in judged),
            sum(event.rejected for event in judged), len(of_day) - len(judged),
            sum(told) if told else "", len(told),
        )  # fmt: skip
        counts.append("(" + ",".join(map(str, numbers)) + ")")
    outcome = {True: 1, False: 0, None: -1}
    return connection.execute(
        FOLD,
        {
            "dates": [day for day, _ in days],
            "days": counts,
            "outcomes": psycopg.types.json.Jsonb(
                [[outcome[event.approved] for event in of_day] for _, of_day in days]
            ),
            "ats": psycopg.types.json.Jsonb(
                [[event.at.isoformat() for event in of_day] for _, of_day in days]
            ),
            "policy": policy,
            "known": known,
        },
    ).fetchall()


def made(log: list[tuple[int, bool | None, bool, Decimal | None]]) -> list[Event]:
    """Date the events one after the other."""
    at, dated = START, []
    for hours, approved, rejected, confidence in log:
        at += timedelta(hours=hours)
        is_decision = approved is not None
        dated.append(
            Event(at, approved, approved is False and rejected, confidence if is_decision else None)
        )
    return dated


@pytest.mark.parametrize("name", ["sequential", "story", "quick", "quick story"])
@given(log=events)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_fold_says_what_a_second_one_says(
    name: str, log: list[Any], module_connection: psycopg.Connection[Any]
) -> None:
    """Catches a fold that forgets, counts twice, or takes rules in another order, on any log."""
    policy = {"quick": QUICK, "quick story": STORY}.get(name) or read_policy(name)
    dated = made(log)
    expected = []
    for day, state in replay(dated, policy):
        changes = [
            [at.timestamp(), before, after, rule] for at, before, after, rule in state.changes
        ]
        known = dataclasses.replace(state, changes=[], attempts=list(state.attempts))
        expected.append(
            (
                day, known.level, known.level_since, known.last_at, known.promotes_from,
                known.decisions, known.successes, known.level_decisions, known.level_successes,
                known.attempts if policy.steps else None,
                known.evidence, known.evidence_needed, known.decline, changes,
            )
        )  # fmt: skip
    found = [
        (
            row[0], row[2], row[3], row[4], *row[5:10], row[10] if policy.steps else None,
            *row[11:14], [[float(at), *rest] for at, *rest in row[14]],
        )
        for row in folded(module_connection, dated, compiled(policy))
    ]  # fmt: skip
    assert found == expected


@pytest.mark.parametrize("name", ["quick", "quick story"])
@given(log=events, cut=st.integers(0, 59))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_fold_that_goes_on_equals_a_replay(
    name: str, log: list[Any], cut: int, module_connection: psycopg.Connection[Any]
) -> None:
    """Catches a state that does not hold all that the next day needs."""
    policy = compiled(QUICK if name == "quick" else STORY)
    dated = made(log)
    replayed = folded(module_connection, dated, policy)
    days = sorted({event.at.date() for event in dated})
    last_known = days[cut % len(days)]
    known = next(row[1] for row in replayed if row[0] == last_known)
    rest = [event for event in dated if event.at.date() > last_known]
    if rest:
        assert folded(module_connection, rest, policy, known) == [
            row for row in replayed if row[0] > last_known
        ]


def test_the_seeds_are_compiled_to_what_the_arithmetic_says(
    server18: Any, build_marts: Callable[..., None], connect: Callable[[str], Any]
) -> None:
    """Catches a threshold that is another in the marts than in what their errors are measured with."""
    url = server18.database()
    build_marts(
        url,
        ["+int_trust_policies__compiled", "--resource-type", "seed", "--resource-type", "model"],
    )
    connection = connect(url)
    found = dict(
        connection.execute(
            "select policy_name, to_jsonb(policy) - 'name' from intermediate.int_trust_policies__compiled"
        ).fetchall()
    )
    expected = {
        name: connection.execute(
            "select to_jsonb((%s)::ops.trust_policy) - 'name'", (compiled(read_policy(name)),)
        ).fetchone()[0]
        for name in ("sequential", "story")
    }
    assert found == expected


def test_an_order_that_is_gone_asks_for_a_restore(
    module_connection: psycopg.Connection[Any],
) -> None:
    """Catches a replay that takes days without their outcomes for days without decisions."""
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="restore the raw rows"):
        module_connection.execute(
            "select ops.trust_fold(null, (%s)::ops.trust_policy,"
            " '(2026-03-01,3,2,1,0,,0)'::ops.trust_day, null, null)",
            (compiled(QUICK),),
        )
    module_connection.rollback()
