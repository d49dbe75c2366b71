"""How often rules of promotion err: agents of known success rates, judged by the rules.

The project's own policies are judged by the fold that the marts use, with the thresholds that dbt has
compiled. Beside them two rules in use elsewhere, which nobody has published the errors of. All start at
level 3, with 10 decisions a day; a failure is a rejection, and the agent is always sure (0.8).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import psycopg

from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Outcomes = NDArray[np.bool_]
    Moments = NDArray[np.int64]  # number of decisions until something happened; NEVER if it did not

NEVER = 10**9
DAILY = 10
HORIZON = 300  # decisions within which a promotion counts
STEADY = 1000  # decisions over which false demotions are counted
RATES = (0.80, 0.85, 0.90, 0.95)
GOOD, DROPPED = 0.95, 0.70
BEFORE_DROP = 100
Z = 1.959964
START = datetime(2026, 1, 1, tzinfo=UTC)
POLICIES = {"sequential": "sequential (default)", "story": "story (004)"}


@dataclass(frozen=True)
class Figure:
    """A measured share, rate or delay, with its 95 % interval."""

    rule: str
    measure: str
    success_rate: float
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Result:
    """All figures, and for the plot how many are promoted by when."""

    figures: list[Figure]
    promoted: dict[tuple[str, float], list[float]]


def measure(connection: psycopg.Connection, agents: int = 2000, seed: int = 1) -> Result:
    """Judge simulated agents by each rule.

    Raises:
        AgentbooksError: dbt has not built the policies.
    """
    draws = np.random.default_rng(seed)
    promotes: dict[str, Callable[[Outcomes], Moments]] = {
        label: lambda outcomes, name=name: _moves(connection, name, 3, 4, outcomes)
        for name, label in POLICIES.items()
    } | {"20 in a row": _twenty_in_a_row, "mean over 0.85 after 8": _mean_after_eight}
    figures: list[Figure] = []
    promoted = {}
    for rate in RATES:
        outcomes = draws.random((agents, HORIZON)) < rate
        for rule, when in promotes.items():
            moments = when(outcomes)
            share = float((moments <= HORIZON).mean())
            figures.append(
                Figure(rule, "promoted", rate, share, *_interval(share * agents, agents))
            )
            promoted[rule, rate] = [float((moments <= n).mean()) for n in range(HORIZON + 1)]
    steady = draws.random((agents, STEADY)) < GOOD
    dropped = np.hstack(
        [
            draws.random((agents, BEFORE_DROP)) < GOOD,
            draws.random((agents, HORIZON)) < DROPPED,
        ]
    )
    for name, rule in POLICIES.items():
        falls = _moves(connection, name, 4, 3, steady)
        number, decisions = int((falls <= STEADY).sum()), int(np.minimum(falls, STEADY).sum())
        spread = Z * number**0.5
        figures.append(
            Figure(
                rule,
                "false demotions per 1,000 decisions",
                GOOD,
                1000 * number / decisions,
                1000 * max(0.0, number - spread) / decisions,
                1000 * (number + spread) / decisions,
            )
        )
        falls = _moves(connection, name, 4, 3, dropped)
        delays = np.sort(falls[falls > BEFORE_DROP] - BEFORE_DROP)
        reach = Z * len(delays) ** 0.5 / 2
        low, median, high = (
            float(delays[int(np.clip(len(delays) / 2 + d, 0, len(delays) - 1))])
            for d in (-reach, 0, reach)
        )
        measure = f"median decisions to detect a drop to {DROPPED:.2f}"
        figures.append(Figure(rule, measure, GOOD, median, low, high))
    return Result(figures, promoted)


def write(folder: Path, result: Result) -> list[Path]:
    """Write the table as CSV and Markdown, and the plot as SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    table, text, plot = (folder / f"trust_errors.{kind}" for kind in ("csv", "md", "svg"))
    with table.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["rule", "measure", "success_rate", "value", "low_95", "high_95"])
        for one in result.figures:
            numbers = ("" if n is None else f"{n:.4f}" for n in (one.value, one.low, one.high))
            rows.writerow([one.rule, one.measure, f"{one.success_rate:.2f}", *numbers])
    text.write_text(markdown(result.figures))
    ET.ElementTree(_plot(result.promoted)).write(plot, encoding="unicode")
    return [table, text, plot]


def markdown(figures: list[Figure]) -> str:
    """Write the figures as a table with a row per rule."""
    columns = list(dict.fromkeys((one.measure, one.success_rate) for one in figures))
    found = {(one.rule, one.measure, one.success_rate): one for one in figures}
    lines = [
        "| rule | "
        + " | ".join(
            f"{measure} of {rate:.0%} agents" if measure == "promoted" else measure
            for measure, rate in columns
        )
        + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    for rule in dict.fromkeys(one.rule for one in figures):
        cells = [
            _cell(found[key]) if (key := (rule, *column)) in found else "never demotes"
            for column in columns
        ]
        lines.append(f"| {rule} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(one: Figure) -> str:
    if one.measure == "promoted":
        return f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})"
    digits = 2 if "per 1,000" in one.measure else 0
    return f"{one.value:.{digits}f} ({one.low:.{digits}f} to {one.high:.{digits}f})"


def _interval(successes: float, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval."""
    rate, scale = successes / trials, 1 + Z**2 / trials
    middle = rate + Z**2 / (2 * trials)
    reach = Z * ((rate * (1 - rate) + Z**2 / (4 * trials)) / trials) ** 0.5
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def _twenty_in_a_row(outcomes: Outcomes) -> Moments:
    run = np.zeros(len(outcomes), dtype=np.int64)
    moments = np.full(len(outcomes), NEVER)
    for n in range(outcomes.shape[1]):
        run = np.where(outcomes[:, n], run + 1, 0)
        moments = np.where((run >= 20) & (moments == NEVER), n + 1, moments)
    return moments


def _mean_after_eight(outcomes: Outcomes) -> Moments:
    decisions = np.arange(1, outcomes.shape[1] + 1)
    reached = (outcomes.cumsum(axis=1) / decisions > 0.85) & (decisions >= 8)
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, NEVER)


def _moves(
    connection: psycopg.Connection, policy: str, start: int, to_level: int, outcomes: Outcomes
) -> Moments:
    """After how many decisions agents who have just come to a level first come to another, by the fold."""
    try:
        found = connection.execute(
            "select policy::text from intermediate.int_trust_policies__compiled"
            " where policy_name = %s",
            (policy,),
        ).fetchone()
    except psycopg.errors.UndefinedTable:
        found = None
    if found is None:
        raise AgentbooksError(
            f"trust-test: policy {policy} is not compiled in this database; run `dbt build` first."
        )
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("drop table if exists pg_temp.judged_days")
        cursor.execute(
            "create temp table judged_days (agent int, day date, outcomes smallint[],"
            " decided_ats timestamptz[]) on commit drop"
        )
        days = range(outcomes.shape[1] // DAILY)
        moments = [[START + timedelta(day, minutes=n) for n in range(DAILY)] for day in days]
        with cursor.copy("copy judged_days from stdin") as copy:
            for agent, of_agent in enumerate(outcomes.astype(int)):
                for day in days:
                    of_day = of_agent[day * DAILY : (day + 1) * DAILY].tolist()
                    copy.write_row((agent, moments[day][0].date(), of_day, moments[day]))
        found_moves = cursor.execute(
            """
            with start as (
                select
                    p.policy,
                    ops.trust_attempt(
                        row(
                            %(level)s, %(start)s, %(start)s,
                            %(start)s + interval '24 hours'
                            * coalesce((p.policy).dwell_days[%(level)s + 1], 0),
                            0, 0, 0, 0, '{0,0,0,0}', 0, 0, 0, '{}', '{}'
                        )::ops.trust_state,
                        p.policy
                    ) as state
                from (select (%(policy)s)::ops.trust_policy as policy) as p
            ),

            folded as (
                select
                    d.agent,
                    ops.trust_fold(
                        s.state, s.policy,
                        row(
                            d.day, cardinality(d.outcomes), c.successes,
                            cardinality(d.outcomes) - c.successes,
                            0, 0.8 * cardinality(d.outcomes), cardinality(d.outcomes)
                        )::ops.trust_day,
                        d.outcomes, d.decided_ats
                    ) over (partition by d.agent order by d.day) as state
                from judged_days as d
                cross join start as s
                cross join lateral (select sum(o) as successes from unnest(d.outcomes) as o) as c
            )

            select f.agent, min(c.changed_at)
            from folded as f
            cross join lateral unnest((f.state).changes) as c
            where c.to_level = %(to_level)s
            group by f.agent
            """,
            {"policy": found[0], "level": start, "to_level": to_level, "start": START},
        ).fetchall()
    moved = np.full(len(outcomes), NEVER)
    for agent, at in found_moves:
        since = at - START
        moved[agent] = since.days * DAILY + since.seconds // 60 + 1
    return moved


def _plot(promoted: dict[tuple[str, float], list[float]]) -> ET.Element:
    """Draw, for each rule, the share of agents that is promoted by when."""
    rules = list(dict.fromkeys(rule for rule, _ in promoted))
    width, height, left, top, gap = 200, 170, 46, 40, 24
    colours = dict(zip(RATES, ("#b2182b", "#ef8a62", "#67a9cf", "#2166ac"), strict=True))
    full_width = left + len(rules) * (width + gap)
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {full_width} {top + height + 74}",
            "font-family": "sans-serif",
            "font-size": "11",
        },
    )
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "white"})

    def text(x: float, y: float, words: str, **more: str) -> None:
        ET.SubElement(svg, "text", {"x": f"{x:.0f}", "y": f"{y:.0f}", **more}).text = words

    def line(points: list[tuple[float, float]], colour: str, stroke: str = "2") -> None:
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        ET.SubElement(
            svg,
            "polyline",
            {"points": joined, "fill": "none", "stroke": colour, "stroke-width": stroke},
        )

    text(left, 16, "Share of agents promoted from level 3 to 4, by their true success rate")
    for number, rule in enumerate(rules):
        x0 = left + number * (width + gap)
        text(x0, top - 6, rule, **{"font-weight": "bold"})
        for tick in (0, 0.5, 1):
            y = top + height * (1 - tick)
            line([(x0, y), (x0 + width, y)], "#dddddd", "1")
            if number == 0:
                text(x0 - 6, y + 4, f"{tick:.0%}", **{"text-anchor": "end"})
        for tick in (0, 100, 200, 300):
            x = x0 + width * tick / HORIZON
            text(x, top + height + 16, str(tick), **{"text-anchor": "middle"})
        for rate, colour in colours.items():
            shares = promoted[rule, rate]
            line(
                [
                    (x0 + width * n / HORIZON, top + height * (1 - share))
                    for n, share in enumerate(shares)
                ],
                colour,
            )
    text(left, top + height + 36, "decisions")
    for number, (rate, colour) in enumerate(colours.items()):
        x, y = left + 130 * number, top + height + 58
        line([(x, y - 4), (x + 22, y - 4)], colour, "3")
        text(x + 28, y, f"{rate:.0%} successful")
    return svg
