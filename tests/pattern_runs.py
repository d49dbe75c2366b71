"""Runs with and without patterns of known effect, on tasks that decide who succeeds and who uses them.

Each pattern has agents and tasks of its own. The harder a task, the rarer its success; the easier, the
more often the pattern is used on it, so that without a matched comparison it seems to help.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import psycopg

MONTHS = ("2026-01-01", "2026-02-01", "2026-03-01")
EFFECTS = (0.0, 0.0, 0.0, 0.1, -0.1, 0.2)
"""True uplifts, drawn evenly: half of all patterns do nothing."""
COMPUTED = (
    "intermediate.int_patterns__compared",
    "intermediate.int_patterns__totalled",
    "marts.pattern_effectiveness",
)


@dataclass(frozen=True)
class Scenario:
    """How runs are spread over tasks, and how much easy tasks attract the pattern."""

    name: str
    agents: int
    tasks: int
    runs_per_task: float
    """Mean runs of an agent on a task in a month."""
    confounding: float = 1.5


REPEATED = Scenario("tasks that repeat", agents=3, tasks=8, runs_per_task=4)
RARE = Scenario("tasks that do not", agents=6, tasks=60, runs_per_task=0.4)


@dataclass
class Patterns:
    """Rows for the two tables that are compared, with each pattern's true and raw uplift."""

    used: list[tuple[Any, ...]] = field(default_factory=list)
    judged: list[tuple[Any, ...]] = field(default_factory=list)
    effects: dict[str, float] = field(default_factory=dict)
    raw: dict[str, float] = field(default_factory=dict)


def draw_patterns(scenario: Scenario, patterns: int, seed: int) -> Patterns:
    """Draw the judged runs of three months, with and without each pattern."""
    rng = np.random.default_rng(seed)
    drawn = Patterns()
    for number in range(patterns):
        pattern_id = f"00000000-0000-4000-8000-{number:012}"
        effect = float(rng.choice(EFFECTS))
        counts = np.zeros(4, int)
        ease = rng.normal(0, 1.2, scenario.tasks)
        for agent in range(scenario.agents):
            own = ease + rng.normal(0, 0.5)
            chance = 0.2 + 0.6 / (1 + np.exp(-own))
            attraction = 1 / (1 + np.exp(0.5 - scenario.confounding * ease))
            for month in MONTHS:
                runs = rng.poisson(scenario.runs_per_task, scenario.tasks)
                used = rng.binomial(runs, attraction)
                wins = rng.binomial(used, np.clip(chance + effect, 0, 1))
                other_wins = rng.binomial(runs - used, chance)
                counts += [wins.sum(), used.sum(), other_wins.sum(), (runs - used).sum()]
                who = (f"{number} {agent}", "d")
                for task in np.flatnonzero(runs):
                    n, s = int(runs[task]), int(wins[task] + other_wins[task])
                    drawn.judged.append((month, *who, f"{number} {task}", n, s))
                    n, s = int(used[task]), int(wins[task])
                    if n:
                        drawn.used.append(
                            (month, pattern_id, *who, f"{number} {task}", n, n, s, n, s)
                        )
        drawn.effects[pattern_id] = effect
        drawn.raw[pattern_id] = counts[0] / counts[1] - counts[2] / counts[3]
    return drawn


def write_patterns(connection: psycopg.Connection, drawn: Patterns) -> None:
    """Write them in place of what the models have computed so far."""
    nothing = ", 0, 0, 0, 0"
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(
            "truncate intermediate.int_patterns__monthly, intermediate.int_runs__judged_monthly"
        )
        cursor.execute("delete from traceability.success_patterns")
        cursor.execute("delete from ops.pruned_patterns")
        cursor.executemany(
            "insert into intermediate.int_patterns__monthly select gen_random_uuid()::text,"
            f" %s::date, %s, %s, %s, %s, %s, %s, %s, %s, %s{nothing}".encode(),
            drawn.used,
        )
        cursor.executemany(
            "insert into intermediate.int_runs__judged_monthly (judged_monthly_key, run_month,"
            " agent_domain_key, domain, task_id, runs, successes, priced_runs, cost_usd, timed_runs,"
            " duration_ms) select gen_random_uuid()::text,"
            f" %s::date, %s, %s, %s, %s, %s{nothing}".encode(),
            drawn.judged,
        )
        cursor.executemany(
            "insert into traceability.success_patterns (id, pattern_hash, tool_sequence, domain)"
            " values (%s, %s, '{a,b}', 'd')",
            [(pattern_id, pattern_id) for pattern_id in drawn.effects],
        )
    connection.execute("analyze intermediate.int_patterns__monthly")
    connection.execute("analyze intermediate.int_runs__judged_monthly")


@dataclass(frozen=True)
class Quality:
    """How well the mart tells effects from chance and from easy tasks."""

    patterns: int
    coverage: float
    """Share of 95 % intervals that hold the true uplift."""
    null_kept: float
    """Share of patterns without effect that are called effective."""
    found: float
    """Share of helpful patterns that are."""
    raw_bias: float
    matched_bias: float
    by_task: float
    """Share of compared runs that are compared within their task."""


def judge(connection: psycopg.Connection, drawn: Patterns) -> Quality:
    """Compare the mart's rows with the truth."""
    rows = connection.execute(
        "select pattern_id, uplift, uplift_low, uplift_high, verdict, compared_runs, compared_by_task"
        " from marts.pattern_effectiveness where uplift is not null"
    ).fetchall()
    effects = {row[0]: Decimal(str(drawn.effects[row[0]])) for row in rows}
    nulls = [row for row in rows if effects[row[0]] == 0]
    helpful = [row for row in rows if effects[row[0]] > 0]
    return Quality(
        patterns=len(rows),
        coverage=float(np.mean([row[2] <= effects[row[0]] <= row[3] for row in rows])),
        null_kept=float(np.mean([row[4] == "keep" for row in nulls])),
        found=float(np.mean([row[4] == "keep" for row in helpful])),
        raw_bias=float(np.mean([drawn.raw[row[0]] - float(effects[row[0]]) for row in rows])),
        matched_bias=float(np.mean([float(row[1] - effects[row[0]]) for row in rows])),
        by_task=sum(row[6] for row in rows) / sum(row[5] for row in rows),
    )
