"""The true answers of the marts about operations: agents, routing, hooks, tools, handoffs, endpoints, errors.

Percentiles stand there by nearest rank, over single values.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from orchestration.simulated_runs import Handoff, Hook, Request, Route, Row, Run
    from orchestration.simulated_staff import Agent

Z = Decimal("1.959964")  # of a 95 % interval
BINS = 10
T = TypeVar("T")


def operations(runs: Sequence[Run], who: Callable[[Agent, int], Row]) -> dict[str, list[Row]]:
    """Give the rows of each mart by its name."""
    return {
        "agent_performance": _agent_performance(runs, who),
        "routing_accuracy": _routing_accuracy(runs),
        "routing_reliability": _routing_reliability(runs),
        "hook_performance": _hook_performance(runs),
        "tool_usage": _tool_usage(runs, who),
        "handoffs_daily": _handoffs_daily(runs),
        "agent_chains": _agent_chains(runs),
        "endpoint_reliability": _endpoint_reliability(runs),
        "errors_daily": _errors_daily(runs),
        "error_analysis": _error_analysis(runs),
    }


def interval(successes: int, trials: int) -> tuple[Decimal | None, Decimal | None]:
    """Wilson's 95 % interval of a rate; None of nothing."""
    if not trials:
        return None, None
    rate = Decimal(successes) / trials
    middle = rate + Z**2 / (2 * trials)
    reach = Z * ((rate * (1 - rate) + Z**2 / (4 * trials)) / trials).sqrt()
    scale = 1 + Z**2 / trials
    return max(Decimal(0), (middle - reach) / scale), min(Decimal(1), (middle + reach) / scale)


def _rate(successes: int, trials: int) -> Row:
    low, high = interval(successes, trials)
    return {
        "successes": successes,
        "success_rate": Decimal(successes) / trials if trials else None,
        "interval_low": low,
        "interval_high": high,
    }


def _verdicts(outcomes: Iterable[bool | None], trials: str) -> Row:
    judged = [outcome for outcome in outcomes if outcome is not None]
    return {trials: len(judged)} | _rate(sum(judged), len(judged))


def _percentiles(values: Iterable[int | None], of: str = "") -> Row:
    known = sorted(value for value in values if value is not None)
    return {
        f"p{percent}_{of}ms": known[-(-len(known) * percent // 100) - 1] if known else None
        for percent in (50, 95)
    }


def _mean(values: Iterable[Any]) -> Decimal | None:
    known = [Decimal(value) for value in values if value is not None]
    return sum(known, Decimal(0)) / len(known) if known else None


def _success_of(run: Run) -> bool | None:
    return run.verdict.success if run.verdict else None


def _by_day(
    events: Iterable[tuple[Run, T]], key: Callable[[Run, T], tuple[Any, ...]]
) -> dict[tuple[Any, ...], list[T]]:
    groups: defaultdict[tuple[Any, ...], list[T]] = defaultdict(list)
    for run, event in events:
        groups[key(run, event)].append(event)
    return groups


def _agent_performance(runs: Sequence[Run], who: Callable[[Agent, int], Row]) -> list[Row]:
    days: defaultdict[tuple[date, Agent], list[Run]] = defaultdict(list)
    for run in runs:
        days[run.started_at.date(), run.agent].append(run)
    return [
        who(agent, of_day[0].seed)
        | {
            "usage_date": day,
            "runs": len(of_day),
            "failed_runs": sum(run.status in ("failed", "cancelled") for run in of_day),
            "timed_runs": sum(run.ended_at is not None for run in of_day),
            "tool_calls": sum(len(run.tools) for run in of_day),
            "tool_errors": sum(tool.failed for run in of_day for tool in run.tools),
        }
        | _verdicts((_success_of(run) for run in of_day), "judged_runs")
        | _percentiles(run.duration_ms for run in of_day)
        for (day, agent), of_day in days.items()
    ]


def _routing_accuracy(runs: Sequence[Run]) -> list[Row]:
    def key(_: Run, route: Route) -> tuple[Any, ...]:
        return route.at.date(), route.strategy, route.agent_name, route.is_cached

    groups = _by_day(((run, route) for run in runs for route in run.routes), key)
    return [
        {
            "usage_date": day,
            "routing_strategy": strategy,
            "agent_name": agent,
            "is_cache_hit": is_cached,
            "decisions": len(routes),
            "overruled": sum(route.is_overruled for route in routes),
            "mean_confidence": _mean(route.confidences["score"] for route in routes),
        }
        | _verdicts((route.outcome for route in routes), "judged_decisions")
        | _percentiles((route.duration_ms for route in routes), "decision_")
        for (day, strategy, agent, is_cached), routes in groups.items()
    ]


def _routing_reliability(runs: Sequence[Run]) -> list[Row]:
    bins: defaultdict[tuple[str, int], list[tuple[Decimal, bool]]] = defaultdict(list)
    for run in runs:
        for route in run.routes:
            for kind, sure in route.confidences.items():
                if sure is not None and route.outcome is not None:
                    bins[kind, min(int(sure * BINS), BINS - 1)].append((sure, route.outcome))
    return [
        {
            "confidence_kind": kind,
            "bin": number,
            "decisions": len(judged),
            "successes": sum(outcome for _, outcome in judged),
            "confidence": sum(sure for sure, _ in judged),
            "squared_error": sum((sure - outcome) ** 2 for sure, outcome in judged),
        }
        for (kind, number), judged in bins.items()
    ]


def _hook_performance(runs: Sequence[Run]) -> list[Row]:
    def key(run: Run, hook: Hook) -> tuple[Any, ...]:
        return hook.at.date(), hook.kind, f"{hook.name}-{run.seed}", hook.tool

    groups = _by_day(((run, hook) for run in runs for hook in run.hooks), key)
    return [
        {
            "usage_date": day,
            "hook_type": kind,
            "hook_name": name,
            "tool_name": tool,
            "executions": len(hooks),
            "finished": len(hooks),
            "blocks": sum(hook.blocks for hook in hooks),
            "quality_checks": sum(hook.quality is not None for hook in hooks),
            "mean_quality_score": _mean(hook.quality for hook in hooks),
        }
        | _rate(sum(not hook.failed for hook in hooks), len(hooks))
        | _percentiles(hook.duration_ms for hook in hooks)
        for (day, kind, name, tool), hooks in groups.items()
    ]


def _tool_usage(runs: Sequence[Run], who: Callable[[Agent, int], Row]) -> list[Row]:
    agents = {run.agent_name: who(run.agent, run.seed) for run in runs}
    groups = _by_day(
        ((run, tool) for run in runs for tool in run.tools),
        lambda run, tool: (tool.at.date(), run.agent_name, tool.name),
    )
    rows = []
    for (day, agent, name), tools in groups.items():
        errors = sum(tool.failed for tool in tools)
        row = agents[agent] | {"usage_date": day, "tool_name": name, "errors": errors}
        row |= {"calls": len(tools), "outcomes": len(tools)}
        rates = _rate(len(tools) - errors, len(tools))
        del rates["successes"]
        rows.append(row | rates | _percentiles(tool.duration_ms for tool in tools))
    return rows


def _handoffs_daily(runs: Sequence[Run]) -> list[Row]:
    def key(run: Run, handoff: Handoff) -> tuple[Any, ...]:
        return handoff.at.date(), run.agent.system, handoff.giver, handoff.taker

    groups = _by_day(((run, handoff) for run in runs for handoff in run.handoffs), key)
    return [
        {
            "usage_date": day,
            "source_system": system,
            "from_agent_name": giver,
            "to_agent_name": taker,
            "handoffs": len(handoffs),
            "failed_handoffs": sum(handoff.failed for handoff in handoffs),
            "timed_handoffs": sum(handoff.overhead_ms is not None for handoff in handoffs),
            "mean_overhead_ms": _mean(handoff.overhead_ms for handoff in handoffs),
        }
        | _verdicts((handoff.success for handoff in handoffs), "judged_handoffs")
        | _percentiles(handoff.duration_ms for handoff in handoffs)
        for (day, system, giver, taker), handoffs in groups.items()
    ]


def _agent_chains(runs: Sequence[Run]) -> list[Row]:
    chains: defaultdict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        if run.handoffs:
            takers = (handoff.taker or "unknown" for handoff in run.handoffs)
            chains[run.agent.system, run.agent_name, *takers].append(run)
    return [
        {
            "source_system": system,
            "chain": " → ".join(agents),
            "handoffs_per_run": len(agents) - 1,
            "runs": len(of_chain),
            "failed_runs": sum(run.status == "failed" for run in of_chain),
            "timed_runs": sum(_overhead(run) is not None for run in of_chain),
            "first_used_date": min(run.started_at.date() for run in of_chain),
            "last_used_date": max(run.started_at.date() for run in of_chain),
        }
        | _verdicts((_success_of(run) for run in of_chain), "judged_runs")
        | _percentiles(run.duration_ms for run in of_chain)
        | _percentiles((_overhead(run) for run in of_chain), "overhead_")
        for (system, *agents), of_chain in chains.items()
    ]


def _overhead(run: Run) -> int | None:
    known = [handoff.overhead_ms for handoff in run.handoffs if handoff.overhead_ms is not None]
    return sum(known) if len(known) == len(run.handoffs) else None


def _endpoint_reliability(runs: Sequence[Run]) -> list[Row]:
    def key(run: Run, request: Request) -> tuple[Any, ...]:
        return request.at.date(), f"{request.service}-{run.seed}"

    groups = _by_day(((run, request) for run in runs for request in run.requests), key)
    return [
        {
            "usage_date": day,
            "service": service,
            "endpoint": "/api/rag/query",
            "calls": len(requests),
            "client_errors": sum(request.status == 404 for request in requests),
            "server_errors": sum(request.status == 503 for request in requests),
            "unanswered": sum(request.status is None for request in requests),
            "retries": sum(request.retries for request in requests),
            "retried_calls": sum(request.retries > 0 for request in requests),
            "retried_successes": sum(
                request.retries > 0 and request.status == 200 for request in requests
            ),
            "error_types": dict(
                Counter(
                    request.error_type or "unclassified"
                    for request in requests
                    if request.status != 200
                )
            ),
        }
        | _rate(sum(request.status == 200 for request in requests), len(requests))
        | _percentiles(request.duration_ms for request in requests)
        for (day, service), requests in groups.items()
    ]


def _failures(runs: Sequence[Run]) -> list[tuple[Run, date, str, str]]:
    """All that failed: runs on the day they started, steps on their own."""
    return [
        (run, failure.at.date(), failure.step, failure.error_type)
        for run in runs
        for failure in run.failures
    ] + [
        (run, run.started_at.date(), "run", run.error_type or "unclassified")
        for run in runs
        if run.status == "failed"
    ]


def _errors_daily(runs: Sequence[Run]) -> list[Row]:
    groups: defaultdict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run, day, step, error_type in _failures(runs):
        groups[day, run.agent_name, step, error_type].append(run)
    rows = []
    for (day, agent, step, error_type), failing in groups.items():
        verdicts = {run.name: _success_of(run) for run in failing}
        row = {
            "usage_date": day,
            "source_system": failing[0].agent.system,
            "agent_name": agent,
            "step": step,
            "error_type": error_type,
            "errors": len(failing),
            "runs": len(verdicts),
            "judged_runs": sum(verdict is not None for verdict in verdicts.values()),
            "recovered_runs": sum(verdict is True for verdict in verdicts.values()),
        }
        rows.append(row)
    return rows


def _error_analysis(runs: Sequence[Run]) -> list[Row]:
    as_of = max(run.started_at.date() for run in runs)
    week, month = as_of - timedelta(days=6), as_of - timedelta(days=34)
    exposed: Counter[tuple[str, bool]] = Counter()
    for run in runs:
        if run.started_at.date() >= month:
            exposed[run.agent.system, run.started_at.date() >= week] += 1
    groups: defaultdict[tuple[str, str, str], list[date]] = defaultdict(list)
    for run, day, step, error_type in _failures(runs):
        groups[run.agent.system, step, error_type].append(day)
    return [
        {
            "source_system": system,
            "step": step,
            "error_type": error_type,
            "as_of_date": as_of,
            "errors": len(days),
            "errors_7d": sum(day >= week for day in days),
            "errors_28d_before": sum(month <= day < week for day in days),
            "runs_7d": exposed[system, True],
            "runs_28d_before": exposed[system, False],
            "first_seen_date": min(days),
            "last_seen_date": max(days),
        }
        for (system, step, error_type), days in groups.items()
    ]
