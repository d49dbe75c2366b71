"""The true answers to what the marts are asked, from what truly happened and by plain arithmetic.

`truth` gives one document. Under the name of each mart it has the mart's rows, with the mart's
column names; but people and agents stand there by their own ids and names, where the marts have hashes.
Beside them:

- `schema` (`traffic-truth/1`), `seed`, `first_day`, `last_day`: what was simulated.
- `agents`: the true chance of success of each, `chance_from`, `chance_to` and its `course` between
  the two (steady, jumps at `changes_at`, drifts), and `true_rate`, its mean over what was judged.
- `patterns`: the true `uplift` of each, and `true_rate`, the mean chance over its judged uses.
- `deletion_requests`: users who ask to be deleted, and on which day.
- `rows`: how many rows each raw table has in the end.
- `arrivals`: rows `sent_twice`, `overtaken` by later ones, sent `before_their_time` by a clock that
  is ahead, and `days_late`, the longest delay.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from math import comb
from statistics import fmean
from typing import TYPE_CHECKING, Any

import msgspec

from orchestration import simulated_staff as staff
from orchestration.prices import PRICES, SEEDS
from orchestration.simulate import midnight
from orchestration.simulated_operations_truth import interval, operations
from orchestration.simulated_runs import pattern_uuid
from orchestration.simulated_trust import Event, idle, read_policy, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import date, datetime
    from pathlib import Path

    from orchestration.simulated_runs import Call, Row, Run
    from orchestration.simulated_staff import Agent, Model
    from orchestration.simulated_traffic import Traffic
    from orchestration.simulated_trust import State

MILLIONTH = Decimal("0.000001")


def truth(traffic: Traffic) -> dict[str, Any]:
    """Give the document that this module describes."""
    runs = traffic.runs
    return {
        "schema": "traffic-truth/1",
        "seed": traffic.seed,
        "first_day": traffic.first_day,
        "last_day": traffic.last_day,
        "agents": _agents(traffic),
        "patterns": _patterns(traffic),
        "agent_runs": _agent_runs(runs),
        "cost_daily": _cost_daily(runs),
        "cost_monthly": _cost_monthly(runs),
        "unit_costs": _unit_costs(runs),
        "users_daily": _users_daily(runs),
        "distributions_daily": _distributions(runs, by_agent=True),
        "latency_daily": _distributions(runs, by_agent=False),
        "task_reliability": _task_reliability(traffic),
        "trust_progression": _trust_progression(traffic),
        "trust_transitions": _trust_transitions(traffic),
        "trust_current": _trust_current(traffic),
        "pattern_effectiveness": _pattern_effectiveness(traffic),
        **operations(runs, _who),
        "deletion_requests": traffic.deletion_requests,
        "rows": _rows(traffic),
        "arrivals": _arrivals(traffic),
    }


def write(path: Path, traffic: Traffic) -> None:
    """Write the document as JSON; money and rates are numbers with all their digits."""
    encoded = msgspec.json.Encoder(decimal_format="number").encode(truth(traffic))
    path.write_bytes(msgspec.json.format(encoded) + b"\n")


class PriceBook:
    """What tokens cost at a moment, from the price seed."""

    def __init__(self) -> None:
        self.prices: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
        self.editions: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        with (SEEDS / PRICES).open() as file:
            for row in csv.DictReader(file):
                self.prices[row["provider"], row["model"], row["component"]].append(row)
                self.editions[row["provider"], row["model"]].add(row["known_from"])

    def price(self, model: Model, component: str, at: datetime, size: int) -> Decimal | None:
        """USD for a million units in a call of this size."""
        day, hour = at.date().isoformat(), at.time().isoformat()
        # Billed by what was known at the time.
        of_model = (model.provider or "", model.book_name or "")
        edition = max(
            (known for known in self.editions[of_model] if (known or "0") <= f"{day} {hour}"),
            default="",
        )
        holding = [
            (int(row["tier_above_input_tokens"]), Decimal(row["usd_per_million"]))
            for row in self.prices[*of_model, component]
            if row["known_from"] == edition
            and (row["valid_from"] or "0") <= day < (row["valid_to"] or "9")
            and (row["time_from_utc"] or "0") <= hour < (row["time_to_utc"] or "9")
        ]
        tiers = [(above, price) for above, price in holding if size > above or above == 0]
        return max(tiers)[1] if tiers else None

    def cost(self, call: Call) -> Decimal | None:
        """What a call costs by the book, if both its counts and their prices are known."""
        if call.input_tokens is None or call.output_tokens is None:
            return None
        read, written, cached = (
            self.price(call.model, component, call.at, call.input_tokens)
            for component in ("input", "output", "cached_input")
        )
        if read is None:
            return None
        written = written or Decimal(0)
        from_cache = call.cached_tokens or 0
        fresh = call.input_tokens - from_cache
        by_cache = read if cached is None else cached
        return (fresh * read + from_cache * by_cache + call.output_tokens * written) * MILLIONTH


def _sum(values: Iterable[Any]) -> Any:
    """The sum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


@dataclass(frozen=True)
class _Usage:
    """A call, or the total of a run that is known only in total, with what it cost."""

    run: Run
    call: Call
    computed: Decimal | None

    @property
    def is_call(self) -> bool:
        return self.run.total is None

    @property
    def reported(self) -> Decimal | None:
        return self.call.reported_cost

    @property
    def cost(self) -> Decimal | None:
        return self.computed if self.reported is None else self.reported


def _usages(run: Run, book: PriceBook) -> list[_Usage]:
    if run.total:
        return [_Usage(run, run.total, None)]
    return [_Usage(run, call, book.cost(call)) for call in run.calls]


def _tokens(usages: list[_Usage]) -> Row:
    return {
        "input_tokens": _sum(usage.call.input_tokens for usage in usages),
        "cached_input_tokens": _sum(usage.call.cached_tokens for usage in usages),
        "output_tokens": _sum(usage.call.output_tokens for usage in usages),
        "unsplit_tokens": _sum(usage.call.total_tokens for usage in usages),
    }


def _who(agent: Agent, seed: int) -> Row:
    """An agent as its system knows it."""
    knows_model = agent.version is not None
    return {
        "source_system": agent.system,
        "agent_name": f"{agent.name}-{seed}",
        "agent_version": agent.version,
        "model_recorded": agent.model.name if knows_model else None,
        "domain": agent.domain,
    }


def _agent_runs(runs: list[Run]) -> list[Row]:
    book = PriceBook()
    return [_agent_run(run, _usages(run, book)) for run in runs]


def _agent_run(run: Run, usages: list[_Usage]) -> Row:
    who = _who(run.agent, run.seed)
    agent_cost, counterpart_cost = (
        _sum(usage.cost for usage in usages if usage.call.payer == payer)
        for payer in ("agent", "counterpart")
    )
    counts: Row = {
        "llm_calls": len(run.calls),
        "tool_calls": len(run.tools),
        "tool_errors": sum(tool.failed for tool in run.tools),
        "messages": len(run.messages),
    }
    return {
        **who,
        "run_id": run.id,
        "model": run.agent.model.book_name if who["model_recorded"] else None,
        "workflow": run.agent.workflow,
        "task_id": run.task,
        "trial": run.trial,
        "user_id": run.user,
        "run_date": run.started_at.date(),
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "duration_ms": run.duration_ms,
        "status": run.status,
        "is_success": run.verdict.success if run.verdict else None,
        **(dict.fromkeys(counts) if run.total else counts),
        **_tokens(usages),
        "agent_cost_usd": agent_cost,
        "counterpart_cost_usd": counterpart_cost,
        "agent_cost_recorded_usd": run.total.reported_cost if run.total else None,
        "fees_usd": run.fees,
        "cost_usd": _sum((agent_cost, counterpart_cost, run.fees)),
        "error_type": run.error_type,
    }


def _cost_daily(runs: list[Run]) -> list[Row]:
    return [
        _cost_of(usages) | {"usage_date": day, "runs": len({usage.run.name for usage in usages})}
        for day, usages in _by_period(runs, lambda day: day)
    ]


def _cost_monthly(runs: list[Run]) -> list[Row]:
    return [
        _cost_of(usages) | {"usage_month": month} for month, usages in _by_period(runs, _month_of)
    ]


def _month_of(day: date) -> date:
    return day.replace(day=1)


def _by_period(
    runs: list[Run], period_of: Callable[[date], date]
) -> Iterator[tuple[date, list[_Usage]]]:
    """What an agent used of one model for one user and payer, by the periods of the calls."""
    book = PriceBook()
    groups: defaultdict[tuple[Any, ...], list[_Usage]] = defaultdict(list)
    for run in runs:
        for usage in _usages(run, book):
            call = usage.call
            key = (period_of(call.at.date()), run.agent, run.user, call.model, call.payer)
            groups[key].append(usage)
    for (period, *_), usages in groups.items():
        yield period, usages


def _cost_of(usages: list[_Usage]) -> Row:
    run, call = usages[0].run, usages[0].call
    calls = [usage for usage in usages if usage.is_call]
    return {
        **_who(run.agent, run.seed),
        "workflow": run.agent.workflow,
        "user_id": run.user,
        "provider": call.model.provider,
        "model": call.model.book_name,
        "model_recorded": call.model.name,
        "payer": call.payer,
        "llm_calls": len(calls),
        **_tokens(usages),
        "reported_cost_usd": _sum(usage.reported for usage in usages),
        "computed_cost_usd": _sum(usage.computed for usage in usages),
        "cost_usd": _sum(usage.cost for usage in usages),
        "calls_reported": sum(usage.reported is not None for usage in calls),
        "calls_computed": sum(
            usage.reported is None and usage.computed is not None for usage in calls
        ),
        "calls_unpriced": sum(usage.cost is None for usage in calls),
    }


def _unit_costs(runs: list[Run]) -> list[Row]:
    book = PriceBook()
    groups: defaultdict[tuple[date, Agent], list[tuple[Run, Row]]] = defaultdict(list)
    for run in runs:
        row = _agent_run(run, _usages(run, book))
        groups[_month_of(run.started_at.date()), run.agent].append((run, row))
    return [
        _who(agent, of_month[0][0].seed)
        | {"run_month": month, "workflow": agent.workflow, "runs": len(of_month)}
        | {"failed_runs": sum(row["status"] in ("failed", "cancelled") for _, row in of_month)}
        | _cost_by_unit([(run, row) for run, row in of_month if row["cost_usd"] is not None])
        for (month, agent), of_month in groups.items()
    ]


def _cost_by_unit(priced: list[tuple[Run, Row]]) -> Row:
    cost = _sum(row["cost_usd"] for _, row in priced)
    verdicts = [decision.verdict for run, _ in priced for decision in run.decisions]
    units = {
        ("priced_runs", "run"): len(priced),
        ("priced_successes", "successful_run"): sum(bool(row["is_success"]) for _, row in priced),
        ("priced_approvals", "approved_decision"): sum(
            verdict is not None and verdict.success for verdict in verdicts
        ),
        ("priced_conversations", "conversation"): sum(bool(row["messages"]) for _, row in priced),
    }
    return (
        {"cost_usd": cost}
        | {column: number for (column, _), number in units.items()}
        | {f"cost_per_{unit}_usd": cost / n if n else None for (_, unit), n in units.items()}
    )


def _users_daily(runs: list[Run]) -> list[Row]:
    groups: defaultdict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.started_at.date(), run.agent, run.user].append(run)
    return [
        _who(agent, of_user[0].seed)
        | {
            "usage_date": day,
            "workflow": agent.workflow,
            "user_id": user,
            "runs": len(of_user),
            "judged_runs": sum(run.verdict is not None for run in of_user),
            "successes": sum(run.verdict is not None and run.verdict.success for run in of_user),
        }
        for (day, agent, user), of_user in groups.items()
    ]


def _distributions(runs: list[Run], *, by_agent: bool) -> list[Row]:
    """How long runs and tools took, what runs cost and how many tokens calls had, with nearest ranks.

    The simulated systems write no durations of LLM calls.
    """
    book = PriceBook()
    groups: defaultdict[tuple[Any, ...], list[Decimal]] = defaultdict(list)
    agents: dict[tuple[Agent, int], Row] = {}
    for run in runs:
        usages = _usages(run, book)
        who = _who(run.agent, run.seed)
        agents[run.agent, run.seed] = who
        day, recorded = run.started_at.date(), who["model_recorded"]
        measured: list[tuple[date, str | None, str | None, str | None, str, Any]] = [
            (day, recorded, None, None, "run_ms", run.duration_ms),
            (
                day,
                recorded,
                None,
                None,
                "run_cost_usd",
                _sum((*(u.cost for u in usages), run.fees)),
            ),
        ]
        for call in run.calls:
            tokens = _sum((call.input_tokens, call.output_tokens, call.total_tokens))
            name = call.model.name
            measured.append((call.at.date(), name, None, call.payer, "llm_call_tokens", tokens))
        for tool in run.tools:
            took = tool.duration_ms
            measured.append((tool.at.date(), None, tool.name, "agent", "tool_call_ms", took))
        for date_, model, tool_name, payer, measure, value in measured:
            if value is not None:
                of = (run.agent, run.seed, model, tool_name) if by_agent else (run.agent.system,)
                groups[date_, payer, measure, of].append(Decimal(value))
    rows = []
    for (day, payer, measure, of), values in groups.items():
        values.sort()
        row = {
            "usage_date": day,
            "payer": payer,
            "measure": measure,
            "observations": len(values),
            "total": sum(values),
        }
        if by_agent:
            agent, seed, model, tool_name = of
            who = agents[agent, seed] | {
                "workflow": agent.workflow,
                "model_recorded": model,
                "tool_name": tool_name,
            }
        else:
            who = {"source_system": of[0]} | {
                f"p{percent}": values[-(-len(values) * percent // 100) - 1]
                for percent in (50, 90, 95, 99)
            }
        rows.append(who | row)
    return rows


def _agents(traffic: Traffic) -> list[Row]:
    judged: defaultdict[Agent, list[float]] = defaultdict(list)
    for run in traffic.runs:
        # Where decisions are judged, the run's own verdict is one of them.
        verdicts = [decision.verdict for decision in run.decisions] or [run.verdict]
        judged[run.agent] += [verdict.chance for verdict in verdicts if verdict]
    days = (traffic.last_day - traffic.first_day).days + 1
    rows = []
    for agent in {run.agent: None for run in traffic.runs}:
        chance, changes_at = agent.chance, None
        if chance.jumps_at is not None:
            changes_at = midnight(traffic.first_day) + timedelta(days=days * chance.jumps_at)
        rows.append(
            _who(agent, traffic.seed)
            | {
                "course": chance.course,
                "chance_from": chance.at(0),
                "chance_to": chance.at(1),
                "changes_at": changes_at,
                "judged": len(judged[agent]),
                "true_rate": fmean(judged[agent]) if judged[agent] else None,
            }
        )
    return rows


def _task_reliability(traffic: Traffic) -> list[Row]:
    rows = []
    judged: defaultdict[Agent, list[tuple[str | None, bool]]] = defaultdict(list)
    for run in traffic.runs:
        if run.verdict:
            judged[run.agent].append((run.task, run.verdict.success))
    for agent, verdicts in judged.items():
        tasks: defaultdict[str, list[bool]] = defaultdict(list)
        for task, success in verdicts:
            if task:
                tasks[task].append(success)
        successes = sum(success for _, success in verdicts)
        for k in range(1, 5):
            shares = [
                Fraction(comb(sum(trials), k), comb(len(trials), k))
                for trials in tasks.values()
                if len(trials) >= k
            ]
            row = {
                "k": k,
                "tasks": len(shares),
                "runs": len(verdicts),
                "successes": successes,
                "success_rate": successes / len(verdicts),
                "pass_hat_k": float(sum(shares) / len(shares)) if shares else None,
            }
            rows.append(_who(agent, traffic.seed) | row)
    return rows


def _histories(traffic: Traffic) -> dict[Agent, list[tuple[date, State]]]:
    """The state of each agent after each day on which it was judged."""
    events: defaultdict[Agent, list[Event]] = defaultdict(list)
    for run in traffic.runs:
        judged = [(decision.at, decision.verdict) for decision in run.decisions]
        if run.agent.system == "traceability":
            judged = [(run.started_at, run.verdict)]  # there the run itself says how it went
        events[run.agent] += [Event(at, verdict.success) for at, verdict in judged if verdict]
    policy = read_policy("sequential")
    return {
        agent: [
            (day, deepcopy(state))
            for day, state in replay(sorted(log, key=lambda event: event.at), policy)
        ]
        for agent, log in events.items()
        if log
    }


def _trust_progression(traffic: Traffic) -> list[Row]:
    return [
        _who(agent, traffic.seed) | _trusted(day, state)
        for agent, history in _histories(traffic).items()
        for day, state in history
    ]


def _trusted(day: date, state: State) -> Row:
    low, high = interval(state.successes, state.decisions)
    return {
        "as_of_date": day,
        "decisions": state.decisions,
        "successes": state.successes,
        "success_rate": state.successes / state.decisions,
        "posterior_mean": (state.successes + 1) / (state.decisions + 2),
        "interval_low": low,
        "interval_high": high,
        "level": state.level,
        "level_since": state.level_since.date(),
    }


def _trust_transitions(traffic: Traffic) -> list[Row]:
    return [
        _who(agent, traffic.seed)
        | {"changed_at": at, "from_level": before, "to_level": after, "rule": rule}
        for agent, history in _histories(traffic).items()
        for _, state in history
        for at, before, after, rule in state.changes
    ]


def _trust_current(traffic: Traffic) -> list[Row]:
    histories = _histories(traffic)
    today = max(history[-1][0] for history in histories.values())
    policy = read_policy("sequential")
    rows = []
    for agent, history in histories.items():
        day, state = history[-1]
        idle(state, policy, midnight(today + timedelta(1)) - timedelta(microseconds=1))
        rows.append(_who(agent, traffic.seed) | _trusted(day, state))
    return rows


def _uses(traffic: Traffic) -> dict[staff.Pattern, list[Run]]:
    """The runs that used each pattern."""
    patterns = staff.PATTERNS if "traceability" in traffic.systems else ()
    uses: dict[staff.Pattern, list[Run]] = {pattern: [] for pattern in patterns}
    for run in traffic.runs:
        if run.uses_pattern and run.agent.pattern:
            uses[run.agent.pattern].append(run)
    return uses


def _patterns(traffic: Traffic) -> list[Row]:
    rows = []
    for pattern, uses in _uses(traffic).items():
        chances = [run.verdict.chance for run in uses if run.verdict]
        row = {
            "pattern_id": str(pattern_uuid(traffic.seed, pattern)),
            "name": pattern.name,
            "uplift": pattern.uplift,
            "true_rate": fmean(chances) if chances else None,
        }
        rows.append(row)
    return rows


def _pattern_effectiveness(traffic: Traffic) -> list[Row]:
    rows = []
    for pattern, uses in _uses(traffic).items():
        verdicts = [run.verdict.success for run in uses if run.verdict]
        low, high = interval(sum(verdicts), len(verdicts))
        row = {
            "pattern_id": str(pattern_uuid(traffic.seed, pattern)),
            "pattern": " → ".join(pattern.steps),
            "domain": pattern.domain,
            "uses": len(uses),
            "judged_uses": len(verdicts),
            "successes": sum(verdicts),
            "success_rate": sum(verdicts) / len(verdicts) if verdicts else None,
            "interval_low": low,
            "interval_high": high,
            "uplift": _uplift(pattern, traffic.runs),
        }
        rows.append(row)
    return rows


def _uplift(pattern: staff.Pattern, runs: list[Run]) -> float | None:
    """How much better each agent did in a month with the pattern than without, by Mantel and Haenszel."""
    verdicts: defaultdict[tuple[Agent, date, bool], list[bool]] = defaultdict(list)
    for run in runs:
        if run.agent.pattern == pattern and run.verdict:
            month = _month_of(run.started_at.date())
            verdicts[run.agent, month, run.uses_pattern].append(run.verdict.success)
    compared = gained = Fraction(0)
    for agent, month in {(agent, month) for agent, month, _ in verdicts}:
        used, others = verdicts[agent, month, True], verdicts[agent, month, False]
        if used and others:
            runs_in_all = len(used) + len(others)
            compared += Fraction(len(used) * len(others), runs_in_all)
            gained += Fraction(sum(used) * len(others) - sum(others) * len(used), runs_in_all)
    return float(gained / compared) if compared else None


def _rows(traffic: Traffic) -> Row:
    # A second delivery is of the same row.
    rows = Counter({id(one.row): one.table for one in traffic.writes if not one.key}.values())
    edited = "chat.chat_messages_v2"
    rows["chat.message_versions"] = sum(
        one.table == edited and bool(one.key) for one in traffic.writes
    )
    return dict(rows)


def _arrivals(traffic: Traffic) -> Row:
    writes = traffic.writes
    latest_events = accumulate((one.event_at for one in writes), max)
    return {
        "sent_twice": len(writes) - len({id(one.row) for one in writes}),
        "overtaken": sum(
            one.event_at < latest for one, latest in zip(writes, latest_events, strict=True)
        ),
        "before_their_time": sum(one.event_at > one.arrives_at for one in writes),
        "days_late": max((one.arrives_at - one.event_at).days for one in writes),
    }
