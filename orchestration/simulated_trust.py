"""Trust by plain arithmetic: what the SQL fold must say of a log, written independently of it.

`replay` takes the events of one agent in one domain and tells the state after each day. Logarithms are
rounded to millionths, as there, so that both are equal to the last digit.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

from orchestration.prices import SEEDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HIGHEST = 4
MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Event:
    """A decision that was judged, or a critical failure (neither approved nor not)."""

    at: datetime
    approved: bool | None
    rejected: bool = False
    confidence: Decimal | None = None


@dataclass(frozen=True)
class Step:
    """What it takes to reach a level from the one below, and to hold it."""

    accept_rate: Decimal
    reject_rate: Decimal
    alpha: Decimal
    beta: Decimal
    min_decisions: int
    dwell_days: int
    decisions_per_false_demotion: Decimal

    @property
    def weights(self) -> tuple[Decimal, Decimal]:
        """Evidence of a failure and of a success."""
        return (
            ((1 - self.accept_rate) / (1 - self.reject_rate)).ln(),
            (self.accept_rate / self.reject_rate).ln(),
        )

    @property
    def demotes_at(self) -> int:
        """How much evidence of a decline demotes."""
        failure, success = self.weights
        mean = self.accept_rate * success + (1 - self.accept_rate) * failure
        return max(1, _millionths((self.decisions_per_false_demotion * mean).ln()))


@dataclass(frozen=True)
class Policy:
    """A row of seed trust_policies, with the steps of seed trust_levels where evidence counts."""

    cooldown_days: int
    idle_days: int
    steps: tuple[Step, ...]
    window_days: int | None = None
    min_decisions: int = 0
    max_rejection_rate: Decimal = Decimal(1)
    min_success_rate: Decimal = Decimal(1)
    min_confidence: Decimal = Decimal(1)


@dataclass
class State:
    """What is known of an agent."""

    level: int
    level_since: datetime
    last_at: datetime
    promotes_from: datetime
    decisions: int = 0
    successes: int = 0
    level_decisions: int = 0
    level_successes: int = 0
    attempts: list[int] = field(default_factory=lambda: [0] * HIGHEST)
    evidence: int = 0
    evidence_needed: int | None = None
    decline: int = 0
    changes: list[tuple[datetime, int, int, str]] = field(default_factory=list)


def read_policy(name: str) -> Policy:
    """Read a policy from the seeds."""
    with (SEEDS / "trust_policies.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["policy"] == name)
    spans = int(row["cooldown_days"]), int(row["idle_days"])
    if row["window_days"]:
        return Policy(
            *spans,
            (),
            int(row["window_days"]),
            int(row["min_decisions"]),
            Decimal(row["max_rejection_rate"]),
            Decimal(row["min_success_rate"]),
            Decimal(row["min_confidence"]),
        )
    with (SEEDS / "trust_levels.csv").open() as file:
        levels = sorted(csv.DictReader(file), key=lambda level: int(level["level"]))
    steps = tuple(
        Step(
            Decimal(level["accept_rate"]),
            Decimal(level["reject_rate"]),
            Decimal(level["alpha"]),
            Decimal(level["beta"]),
            int(level["min_decisions"]),
            int(level["dwell_days"]),
            Decimal(level["decisions_per_false_demotion"]),
        )
        for level in levels[1:]
    )
    return Policy(*spans, steps)


def replay(events: Iterable[Event], policy: Policy) -> Iterator[tuple[date, State]]:
    """Give the state after each UTC day with events, which come in order; it is the same object each time."""
    state: State | None = None
    past: list[Event] = []
    for day, group in groupby(events, key=lambda event: event.at.astimezone(UTC).date()):
        today = list(group)
        if state is None:
            at = today[0].at
            state = State(0, at, at, datetime.min.replace(tzinfo=UTC))
            _begin(state, policy)
            state.promotes_from = at + timedelta(policy.steps[0].dwell_days if policy.steps else 0)
        state.changes = []
        idle(state, policy, today[0].at)
        past += today
        if policy.window_days is None:
            for event in today:
                _judge(state, policy, event)
        else:
            first = day - timedelta(policy.window_days - 1)
            _judge_window(
                state, policy, today, [event for event in past if event.at.date() >= first]
            )
        state.last_at = today[-1].at
        judged = [event.approved for event in today if event.approved is not None]
        state.decisions += len(judged)
        state.successes += sum(judged)
        yield day, state


def idle(state: State, policy: Policy, until: datetime) -> None:
    """Take a level for each span without a decision."""
    span = timedelta(policy.idle_days)
    while state.level and state.last_at + span <= until:
        state.last_at += span
        _move(state, policy, state.last_at, state.level - 1, "inactivity")


def _millionths(number: Decimal) -> int:
    return round(number * MILLION)


def _begin(state: State, policy: Policy) -> None:
    state.evidence, state.evidence_needed = 0, None
    if state.level < HIGHEST:
        state.attempts[state.level] += 1
        attempt = state.attempts[state.level]
        if policy.steps:
            first = _millionths(-policy.steps[state.level].alpha.ln())
            state.evidence_needed = first + _millionths(Decimal(attempt * (attempt + 1)).ln())


def _move(state: State, policy: Policy, at: datetime, level: int, rule: str) -> None:
    if level != state.level:
        state.changes.append((at, state.level, level, rule))
        state.level, state.level_since = level, at
    state.level_decisions = state.level_successes = state.decline = 0
    dwell = policy.steps[level].dwell_days if policy.steps and level < HIGHEST else 0
    earliest = [state.promotes_from, state.level_since + timedelta(dwell)]
    if rule in ("decline", "critical_failure", "rejections"):
        earliest = [earliest[1], at + timedelta(policy.cooldown_days)]
    state.promotes_from = max(earliest)
    _begin(state, policy)


def _judge(state: State, policy: Policy, event: Event) -> None:
    if event.approved is None:
        _move(state, policy, event.at, 0, "critical_failure")
        return
    level = state.level
    state.level_decisions += 1
    state.level_successes += event.approved
    if level > 0:
        held = policy.steps[level - 1]
        state.decline = max(0, state.decline - _millionths(held.weights[event.approved]))
        if state.decline >= held.demotes_at:
            _move(state, policy, event.at, level - 1, "decline")
            return
    if level < HIGHEST and state.evidence_needed is not None:
        step = policy.steps[level]
        state.evidence += _millionths(step.weights[event.approved])
        state.evidence = min(state.evidence, state.evidence_needed)
        if state.evidence <= _millionths((step.beta / (1 - step.alpha)).ln()):
            _begin(state, policy)
        elif (
            state.evidence == state.evidence_needed
            and state.level_decisions >= step.min_decisions
            and event.at >= state.promotes_from
        ):
            _move(state, policy, event.at, level + 1, "evidence")


def _judge_window(state: State, policy: Policy, today: list[Event], window: list[Event]) -> None:
    at = today[-1].at
    judged = [event for event in window if event.approved is not None]
    state.level_decisions += sum(event.approved is not None for event in today)
    state.level_successes += sum(event.approved is True for event in today)
    if len(judged) < len(window):
        if state.level:
            _move(state, policy, at, 0, "critical_failure")
    elif len(judged) < policy.min_decisions:
        return
    elif sum(event.rejected for event in judged) > policy.max_rejection_rate * len(judged):
        if state.level:
            _move(state, policy, at, state.level - 1, "rejections")
    elif sum(event.approved is True for event in judged) > policy.min_success_rate * len(judged):
        told = [event.confidence for event in judged if event.confidence is not None]
        if told and sum(told) / len(told) >= policy.min_confidence and state.level < HIGHEST:
            _move(state, policy, at, state.level + 1, "window")
