"""What each of the five source systems writes of a run, and keeps besides.

A function per system lets a run happen: it completes the run with what its system knows of it, and
writes exactly that. A word that a system does not have, such as a verdict, is taken off the run.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from orchestration import simulated_staff as staff
from orchestration.simulate import midnight
from orchestration.simulated_runs import (
    LOADER,
    Call,
    Clock,
    Decision,
    Failure,
    Handoff,
    Hook,
    Pen,
    Request,
    Route,
    Row,
    Run,
    Tool,
    Verdict,
    Write,
    agent_uuid,
    pattern_uuid,
    user_id,
    uuid,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date, datetime
    from random import Random
    from uuid import UUID

    from orchestration.simulated_staff import Model


def _work(run: Run, clock: Clock, draw: Random) -> None:
    """Let an agent call its model and its tools, a second time where one fails."""
    for _ in range(draw.randrange(1, 4)):
        if draw.random() < staff.CALL_FAILED:
            run.calls.append(Call(clock.tick(2), run.agent.model))
        run.calls.append(_call(run, clock.tick(5), run.agent.model, draw))
        tool = Tool(clock.tick(1), draw.choice(("search", "fetch", "check")))
        run.tools.append(tool)
        if draw.random() < staff.TOOL_FAILED:
            tool.failed = True
            run.tools.append(Tool(clock.tick(3), tool.name))
    times = run.draw("times of tools")
    for tool in run.tools:
        tool.duration_ms = round(300 * times.lognormvariate(0, 1))
    if run.status != "running":
        run.ended_at = clock.tick(1)


def _call(run: Run, at: datetime, model: Model, draw: Random) -> Call:
    """An answered call."""
    read, written = (round(m * draw.lognormvariate(0, 1)) for m in (3000, 200))
    if draw.random() < 0.03:
        read += 250_000  # beyond the bound from which some prices are higher
    call = Call(at, model, read, output_tokens=written)
    if draw.random() < 0.6:
        call.cached_tokens = read // 256 * 128
    if draw.random() < run.agent.reports_cost:
        call.reported_cost = Decimal(draw.randrange(1, 10_000_000)).scaleb(-8)
    return call


def _steps(calls: list[Call], tools: list[Tool]) -> list[Call | Tool]:
    return [*calls, *tools]


def _split_tokens(call: Call) -> Row:
    return {"input_tokens": call.input_tokens, "output_tokens": call.output_tokens}


def raaf(run: Run) -> list[Write]:
    """The agent framework: a job and an agent repeat the tokens of the calls below them."""
    draw, agent, pen = run.draw("work"), run.agent, Pen(run)
    _work(run, Clock(run), draw)
    run.verdict = None
    if run.status == "cancelled":
        run.status = "succeeded"
    if run.status == "failed":
        run.error_type = "unclassified"
    for call in run.calls:
        call.cached_tokens = None
        call.input_tokens = call.input_tokens or 10  # counted, though no answer came
    if draw.random() < 0.5:
        run.fees = Decimal(draw.randrange(1, 5000)).scaleb(-4)
    run.id = f"trace_{run.uuid().hex}"
    sums = {
        "input_tokens": sum(call.input_tokens or 0 for call in run.calls),
        "output_tokens": sum(call.output_tokens or 0 for call in run.calls),
    }
    has_llm_spans = draw.random() < 0.8
    if not has_llm_spans:
        whole = Call(run.started_at, agent.model)
        whole.input_tokens, whole.output_tokens = sums["input_tokens"], sums["output_tokens"]
        run.calls = [whole]

    trace: Row = {
        "trace_id": run.id,
        "workflow_name": agent.workflow,
        "status": "running",
        "started_at": run.started_at,
    }
    first = pen.write(run.started_at, "raaf.raaf_tracing_traces", trace)
    stem = f"span_{run.uuid().hex[:20]}"

    def span(number: int, kind: str, at: datetime, **more: Any) -> None:
        row = {
            "span_id": f"{stem}{number:04d}",
            "trace_id": run.id,
            "parent_id": f"{stem}{min(number, 2) - 1:04d}" if number else None,
            "name": kind,
            "kind": kind,
            "start_time": at,
        }
        pen.write(at, "raaf.raaf_tracing_spans", row | more, after=first)

    span(0, "job", run.started_at, **sums)
    span(
        1,
        "agent",
        run.started_at,
        agent_name=run.agent_name.title(),
        agent_model=agent.model.name,
        execution_metadata={"agent_version": agent.version},
        call_fee_cents=run.fees and run.fees * 100,
        **sums,
    )
    llm_calls = run.calls if has_llm_spans else []
    for number, step in enumerate(_steps(llm_calls, run.tools), start=2):
        if isinstance(step, Tool):
            how: Row = {"name": step.name, "status": "error" if step.failed else "ok"}
            span(number, "tool", step.at, duration_ms=step.duration_ms, **how)
            if step.failed:
                run.failures.append(Failure(step.at, "tool"))
        elif draw.random() < 0.5:
            span(number, "llm", step.at, agent_model=step.model.name, **_split_tokens(step))
        else:
            attributes = {"model": step.model.name, "usage": _split_tokens(step)}
            span(number, "llm", step.at, span_attributes=attributes)
    for number, handoff in enumerate(_specialists(run), start=9000):
        names = {"handoff.from": f" {handoff.giver.title()}", "handoff.to": handoff.taker}
        how = {"status": "error" if handoff.failed else "ok", "duration_ms": handoff.duration_ms}
        span(number, "handoff", handoff.at, span_attributes=names, **how)
        run.handoffs.append(handoff)
        if handoff.failed:
            run.failures.append(Failure(handoff.at, "handoff"))
    if run.ended_at:
        ends = {
            "status": "failed" if run.status == "failed" else "completed",
            "ended_at": run.ended_at,
        }
        key = {"trace_id": run.id}
        pen.write(run.ended_at, "raaf.raaf_tracing_traces", ends, key=key, after=first)
    return pen.writes


def _specialists(run: Run) -> Iterator[Handoff]:
    """Hand the work on, once or twice or not at all."""
    draw, at, giver = run.draw("handoffs"), run.started_at, run.agent_name
    for taker in (f"specialist-{run.seed}", f"checker-{run.seed}"):
        if draw.random() < 0.6:
            return
        at += timedelta(milliseconds=draw.randrange(1, 60_000))
        took = round(5000 * draw.lognormvariate(0, 0.5))
        yield Handoff(at, giver, taker, took, failed=draw.random() < 0.1)
        giver = taker


def observability(run: Run) -> list[Write]:
    """The workflow engine, and an evaluator whose judged runs the loader brings."""
    draw, agent, clock = run.draw("work"), run.agent, Clock(run)
    pen = Pen(run, LOADER) if run.verdict else Pen(run)
    trace_id = run.uuid()
    _work(run, clock, draw)
    if run.status == "failed":
        run.error_type = "unclassified"
    metadata: Row = {
        "agent": {"name": run.agent_name, "version": agent.version, "model": agent.model.name},
        "domain": agent.domain,
    }
    totals = None
    if run.verdict is None:
        run.id = str(trace_id)
    else:
        run.id = run.name
        run.user, run.task, run.trial = None, draw.choice(staff.TASKS), draw.randrange(1, 5)
        metadata |= {"loader": {}, "run_id": run.id, "task_id": run.task, "trial": run.trial}
        how = draw.random()
        if how < 0.1:
            cost = Decimal(draw.randrange(1, 100_000)).scaleb(-6)
            run.total = Call(run.started_at, agent.model, 5000, 2560, 400, None, cost)
            run.calls, run.tools = [], []
            totals = {"input": 5000, "cached_input_tokens": 2560, "output": 400}
            metadata["agent_cost_usd"] = cost
        elif how < 0.4:
            run.calls.append(_call(run, clock.now, staff.COUNTERPART, draw))
            run.calls[-1].payer = "counterpart"

    trace: Row = {
        "trace_id": trace_id,
        "workflow_id": agent.workflow,
        "execution_id": run.name,
        "user_id": run.user,
        "started_at": run.started_at,
        "status": "running",
        "total_tokens": totals,
        "metadata": metadata,
    }
    first = pen.write(run.started_at, "observability.traces", trace)
    for number, step in enumerate(_steps(run.calls, run.tools)):
        span: Row = {
            "trace_id": trace_id,
            "span_id": run.uuid("span", number),
            "started_at": step.at,
        }
        if isinstance(step, Tool):
            span |= {
                "span_type": "agent_tool_call",
                "name": step.name,
                "status": "failed" if step.failed else "completed",
                "duration_ms": step.duration_ms,
            }
        else:
            tokens = _split_tokens(step) | {"cached_input_tokens": step.cached_tokens}
            span |= {
                "span_type": "llm",
                "name": "answer",
                "status": "failed" if step.output_tokens is None else "completed",
                "model": step.model.name,
                "tokens": {kind: count for kind, count in tokens.items() if count is not None},
                "cost": step.reported_cost,
                "metadata": {"payer": step.payer},
            }
        pen.write(step.at, "observability.spans", span, after=first)
        if span["status"] == "failed":
            run.failures.append(Failure(step.at, span["span_type"]))
    if run.ended_at:
        ends: Row = {
            "status": "completed" if run.status == "succeeded" else run.status,
            "completed_at": run.ended_at,
            "total_duration_ms": run.duration_ms,
        }
        key = {"trace_id": trace_id}
        pen.write(run.ended_at, "observability.traces", ends, key=key, after=first)
    if run.verdict:
        _judge(run, pen, clock.now, run.verdict)
    return pen.writes


def _judge(run: Run, pen: Pen, at: datetime, verdict: Verdict) -> None:
    """The evaluator's verdict, kept as a decision in a session of its own."""
    run.decisions.append(Decision(at, verdict))
    shared: Row = {
        "session_id": run.uuid("session"),
        "metadata": {"loader": {}, "run_id": run.id},
    }
    session = {"agent_id": agent_uuid(run.seed, run.agent), "started_at": run.started_at}
    decision = {
        "decision_id": run.uuid("decision"),
        "decision_type": "task",
        "input_context": {},
        "action_taken": {},
        "user_feedback": "approved" if verdict.success else "rejected",
        "created_at": at,
    }
    first = pen.write(run.started_at, "agentic.agent_sessions", shared | session)
    pen.write(at, "agentic.agent_decisions", shared | decision, after=first)


def traceability(run: Run) -> list[Write]:
    """The router: executions and what they delegate, hooks, endpoints and uses of patterns."""
    draw, agent, pen = run.draw("work"), run.agent, Pen(run)
    _work(run, Clock(run), draw)
    run.calls = []
    run.id = str(run.uuid())
    success = run.verdict.success if run.verdict else None
    if run.status == "failed":
        run.error_type = "TimeoutError"

    root = run.uuid("correlation")

    def execution(execution_id: UUID, correlation_id: UUID, **more: Any) -> datetime:
        row = {
            "id": execution_id,
            "correlation_id": correlation_id,
            "root_id": root,
            "session_id": run.uuid("session"),
            "user_id": run.user,
            "started_at": run.started_at,
        }
        return pen.write(run.started_at, "traceability.execution_traces", row | more)

    first = execution(run.uuid(), root, source=agent.workflow)
    executions = [(run.uuid(), first)]
    if draw.random() < 0.4:
        # Nothing makes a delegation wait for its root: it may arrive before it.
        executions += _delegate(run, root, execution, pen)
    _route(run, pen, first)
    for number, tool in enumerate(run.tools, start=1):
        trace_id, there = draw.choice(executions)
        _work_around(run, pen, {"trace_id": trace_id}, number, tool, there)
    if run.uses_pattern and agent.pattern:
        use: Row = {
            "pattern_id": pattern_uuid(run.seed, agent.pattern),
            "id": run.uuid("use"),
            "trace_id": run.uuid(),
            "used_at": run.started_at,
            # Who uses it says how it went, or leaves that to the run.
            "success": success if draw.random() < 0.5 else None,
        }
        pen.write(run.started_at, "traceability.pattern_usage_log", use, after=first)
    if run.ended_at:
        ends: Row = {
            "status": "completed" if run.status == "succeeded" else run.status,
            "success": success,
            "completed_at": run.ended_at,
            "duration_ms": run.duration_ms,
            "error_type": run.error_type,
        }
        key = {"id": run.uuid()}
        pen.write(run.ended_at, "traceability.execution_traces", ends, key=key, after=first)
    return pen.writes


def _delegate(
    run: Run, root: UUID, execution: Callable[..., datetime], pen: Pen
) -> Iterator[tuple[UUID, datetime]]:
    """Hand work to one agent, which may hand it to another; give the executions."""
    draw, at, above, giver = run.draw("delegations"), run.started_at, root, run.agent_name
    for name in ("helper", "checker"):
        trace_id, correlation = run.uuid(name), run.uuid(name, "correlation")
        at += timedelta(milliseconds=draw.randrange(1, 5000))
        overhead, works = draw.randrange(2000), draw.randrange(60_000)
        failed = draw.random() < 0.1
        taker = f"{name}-{run.seed}" if draw.random() < 0.8 else None
        outcome = draw.random() < staff.HELPED if draw.random() < staff.JUDGED else None
        delegation: Row = {
            "source": "agent_delegation",
            "parent_id": above,
            "started_at": at,
            "status": "failed" if failed else "completed",
            "success": outcome,
            "duration_ms": overhead + works,
            "error_type": "ValidationError" if failed else None,
        }
        there = execution(trace_id, correlation, **delegation)
        if failed:
            run.failures.append(Failure(at, "execution", "ValidationError"))
        if taker:
            begins = at + timedelta(milliseconds=overhead)
            times: Row = {
                "execution_started_at": begins,
                "execution_completed_at": begins + timedelta(milliseconds=works),
            }
            route = _choose(draw, at, taker, staff.HELPED, outcome)
            _write_route(run, pen, route, {"trace_id": trace_id} | times, there)
        took = overhead + works
        known = overhead if taker else None
        run.handoffs.append(Handoff(at, giver, taker, took, failed, outcome, known))
        yield trace_id, there
        if taker is None or draw.random() < 0.6:
            return
        above, giver = correlation, taker


def _route(run: Run, pen: Pen, first: datetime) -> None:
    """Choose the agent of a run, sometimes after another."""
    draw, key = run.draw("routes"), {"trace_id": run.uuid()}
    chance, outcome = (run.verdict.chance, run.verdict.success) if run.verdict else (0.5, None)
    chosen = _choose(draw, run.started_at, run.agent_name, chance, outcome)
    if draw.random() < 0.1:
        earlier, other = run.started_at - timedelta(seconds=1), f"who-was-asked-first-{run.seed}"
        passed_over = _choose(draw, earlier, other, 0.5, None, is_overruled=True)
        _write_route(run, pen, passed_over, key, first)
    _write_route(run, pen, chosen, key, first)


def _choose(
    draw: Random,
    at: datetime,
    agent_name: str,
    chance: float,
    outcome: bool | None,
    *,
    is_overruled: bool = False,
) -> Route:
    """Choose an agent. The router's triggers are as sure as they should be, all in all it is too sure."""
    surely = {
        "score": min(chance + staff.TOO_SURE, 1),
        "trigger": chance,
        "context": draw.random(),
        "capability": min(chance + 0.1 * draw.random(), 1),
        "historical": chance if draw.random() < 0.5 else None,
    }
    # The better agents are found by their patterns: nothing is gained by the strategy itself.
    is_senior = "senior" in agent_name
    (strategy,) = draw.choices(
        ("explicit", "fuzzy_match", "learned_pattern"), (1, 2, 3 * is_senior)
    )
    confidences = {
        kind: None if sure is None else Decimal(round(sure * 10_000)).scaleb(-4)
        for kind, sure in surely.items()
    }
    took = round(20 * draw.lognormvariate(0, 0.7))
    is_cached = draw.random() < 0.3
    return Route(at, agent_name, strategy, is_cached, confidences, took, outcome, is_overruled)


def _write_route(run: Run, pen: Pen, route: Route, more: Row, after: datetime) -> None:
    row: Row = {
        "id": run.uuid("route", len(run.routes)),
        "agent_selected": f" {route.agent_name.title()} ",
        "routing_strategy": route.strategy,
        "cache_hit": route.is_cached,
        "decision_duration_ms": route.duration_ms,
        "created_at": route.at,
    }
    row |= {f"confidence_{kind}": sure for kind, sure in route.confidences.items()}
    run.routes.append(route)
    pen.write(route.at, "traceability.agent_routing_decisions", more | row, after=after)


def _work_around(run: Run, pen: Pen, key: Row, number: int, tool: Tool, after: datetime) -> None:
    """Note what hooks and services did around a tool: a hook that logs it, perhaps one that guards it."""
    draw = run.draw(f"work around tool {number}")
    hooks = [Hook(tool.at, "PostToolUse", "log", tool.name, tool.duration_ms, tool.failed)]
    if draw.random() < 0.4:
        took, quality = draw.randrange(1, 200), Decimal(draw.randrange(10_001)).scaleb(-4)
        failed = draw.random() < 0.05
        hooks.append(
            Hook(tool.at, "PreToolUse", "guard", tool.name, took, failed, quality < 0.1, quality)
        )
    for order, hook in enumerate(hooks):
        row: Row = {
            "id": run.uuid("tool" if hook.name == "log" else "guard", number),
            "hook_type": hook.kind,
            "hook_name": f"{hook.name}-{run.seed}",
            "execution_order": number + order * len(run.tools),
            "tool_name": hook.tool,
            "started_at": hook.at,
            "duration_ms": hook.duration_ms,
            "status": "failed" if hook.failed else "completed",
        }
        if hook.quality is not None:
            row["quality_check_performed"] = True
            row["quality_results"] = {"quality_score": hook.quality}
            row["output_data"] = {"decision": "block" if hook.blocks else "approve"}
        run.hooks.append(hook)
        pen.write(hook.at, "traceability.hook_executions", key | row, after=after)
        if hook.failed:
            run.failures.append(Failure(hook.at, "hook"))
    _request(run, pen, key | {"id": run.uuid("tool", number)}, tool, after)


def _request(run: Run, pen: Pen, key: Row, tool: Tool, after: datetime) -> None:
    """Note the call of a service behind a tool."""
    draw = run.draw(f"request of {key['id']}")
    status: int | None = 200
    error_type = None
    if tool.failed:
        status, error_type = draw.choice(
            ((503, "http_error"), (404, "http_error"), (None, "timeout"), (None, None))
        )
    retries = draw.randrange(1, 4) if tool.failed or draw.random() < 0.1 else 0
    request = Request(
        tool.at, "RAG", round(80 * draw.lognormvariate(0, 1)), status, retries, error_type
    )
    row: Row = {
        "started_at": request.at,
        "service": f"{request.service}-{run.seed}",
        "endpoint_url": f"/api/rag/query?run={run.name}",
        "method": "POST",
        "success": request.status == 200,
        "status_code": request.status,
        "duration_ms": request.duration_ms,
        "retry_count": request.retries,
        "error_type": request.error_type,
    }
    run.requests.append(request)
    pen.write(request.at, "traceability.endpoint_calls", key | row, after=after)
    if request.status != 200:
        run.failures.append(Failure(request.at, "endpoint_call", error_type or "unclassified"))


def chat(run: Run) -> list[Write]:
    """Conversations, what people edit in them and what agents remember of them."""
    draw, agent, clock, pen = run.draw("work"), run.agent, Clock(run), Pen(run)
    run.id, run.verdict = str(run.uuid()), None
    if run.status == "failed":
        run.status = "succeeded"
    agent_id = agent_uuid(run.seed, agent)
    ids: Row = {"conversation_id": run.uuid("conversation")}
    session: Row = {
        "id": run.uuid(),
        "user_id": run.user,
        "agent_id": agent_id,
        "started_at": run.started_at,
    }
    first = pen.write(run.started_at, "chat.conversation_sessions", ids | session)
    ids["session_id"] = run.uuid()

    def message(at: datetime, role: str, **more: Any) -> UUID:
        run.messages.append(at)
        message_id = run.uuid("message", len(run.messages))
        key: Row = {"session_id": run.uuid(), "id": message_id, "created_at": at}
        row = {"role": role, "content": {"type": "text", "text": "helo"}}
        there = pen.write(at, "chat.chat_messages_v2", ids | key | row | more, after=first)
        if draw.random() < 0.05:
            edit = {"content": {"type": "text", "text": "hello"}}
            # Each edit makes a version, also one that changes nothing.
            pen.write(at, "chat.chat_messages_v2", edit, key=key, after=there, is_repeatable=False)
        return message_id

    for _ in range(draw.randrange(1, 5)):
        asked = message(clock.tick(30), "user", sender_user_id=run.user)
        call = _call(run, clock.tick(4), agent.model, draw)
        call.cached_tokens = None
        tokens: Row | int = {"prompt": call.input_tokens, "completion": call.output_tokens}
        if draw.random() < 0.3:
            tokens = call.total_tokens = (call.input_tokens or 0) + (call.output_tokens or 0)
            call.input_tokens = call.output_tokens = None
        run.calls.append(call)
        answer = message(
            call.at,
            "assistant",
            sender_agent_id=agent_id,
            parent_message_id=asked,
            metadata={"model": agent.model.name, "tokens": tokens},
        )
        if draw.random() < 0.1:
            message(clock.tick(2), "tool")
    if run.status != "running":
        run.ended_at = clock.tick(60)
        ends = {
            "status": "completed" if run.status == "succeeded" else "abandoned",
            "ended_at": run.ended_at,
        }
        key = {"id": run.uuid()}
        pen.write(run.ended_at, "chat.conversation_sessions", ends, key=key, after=first)
    _remember(run, pen, clock.now, {"agent_id": agent_id, "created_at": clock.now}, answer, draw)
    return pen.writes


def _remember(
    run: Run, pen: Pen, at: datetime, shared: Row, message_id: UUID, draw: Random
) -> None:
    """Memories of a conversation, which are merged if there are many, and the context it had."""
    contents: dict[str, Row] = {
        "episodic": {"event": "asked", "temporal": {"timestamp": at}},
        "semantic": {"concept": "refund", "definition": "money back"},
        "procedural": {"skill": "refund", "steps": []},
        "working": {"items": [], "capacity": 5},
    }
    kinds = draw.sample(sorted(contents), k=draw.randrange(1, 4))
    memories = [run.uuid("memory", kind) for kind in kinds]
    there = None
    for kind, memory in zip(kinds, memories, strict=True):
        row: Row = {
            "id": memory,
            "memory_type": kind,
            "content": contents[kind],
            "related_memories": [other for other in memories if other != memory],
            "source_message_id": message_id,
            "last_accessed": at,
        }
        there = pen.write(at, "chat.agent_memories", shared | row, after=there)
    if len(memories) > 2:
        merger: Row = {
            "id": run.uuid("consolidation"),
            "source_memories": memories[1:],
            "consolidated_memory_id": memories[0],
            "consolidation_type": "merge",
            "tokens_saved": draw.randrange(500),
        }
        pen.write(at, "chat.memory_consolidations", shared | merger, after=there)
    context = {"id": run.uuid("context"), "message_id": message_id, "snapshot_data": {}}
    pen.write(at, "chat.context_snapshots", shared | context)


def agentic(run: Run) -> list[Write]:
    """Sessions with decisions that people judge one by one, often much later."""
    draw, agent, clock, pen = run.draw("work"), run.agent, Clock(run), Pen(run)
    run.id, run.verdict, run.task = str(run.uuid()), None, draw.choice(staff.TASKS)
    if run.status == "failed":
        run.status = "succeeded"
    agent_id = agent_uuid(run.seed, agent)
    session: Row = {
        "session_id": run.uuid(),
        "agent_id": agent_id,
        "user_id": run.user,
        "context": {"domain": agent.domain, "task_id": run.task},
        "started_at": run.started_at,
    }
    first = pen.write(run.started_at, "agentic.agent_sessions", session)

    def message(at: datetime, role: str, **more: Any) -> None:
        run.messages.append(at)
        row = {
            "session_id": run.uuid(),
            "message_id": run.uuid("message", len(run.messages)),
            "role": role,
            "content": "hello",
            "created_at": at,
        }
        pen.write(at, "agentic.conversation_history", row | more, after=first)

    def audit(action: str) -> None:
        row = {
            "audit_id": run.uuid("audit", action),
            "agent_id": agent_id,
            "session_id": run.uuid(),
            "action_type": action,
            "action_details": {"status": "done"},
            "timestamp": clock.now,
        }
        pen.write(clock.now, "agentic.agent_audit_log", row, after=first)

    audit("begin")
    for _ in range(draw.randrange(1, 4)):
        message(clock.tick(30), "user")
        call = Call(clock.tick(4), agent.model, total_tokens=draw.randrange(100, 9000))
        run.calls.append(call)
        message(call.at, "agent", tokens_used=call.total_tokens, model_used=agent.model.name)
        _decide(run, pen, clock.tick(1), first, draw)
    audit("review")
    metric: Row = {
        "session_id": run.uuid(),
        "metric_id": run.uuid("metric"),
        "metric_type": "accuracy",
        "metric_value": Decimal(draw.randrange(10_000)).scaleb(-2),
        "recorded_at": clock.now,
    }
    pen.write(clock.now, "agentic.trust_metrics", metric, after=first)
    if run.status != "running":
        run.ended_at = clock.tick(10)
        ends: Row = {
            "session_state": "completed" if run.status == "succeeded" else "terminated",
            "ended_at": run.ended_at,
            "version": 2,
        }
        key = {"session_id": run.uuid(), "version": 1}
        pen.write(run.ended_at, "agentic.agent_sessions", ends, key=key, after=first)
    return pen.writes


def _decide(run: Run, pen: Pen, at: datetime, first: datetime, draw: Random) -> None:
    """A decision, and at once or later what a person makes of it."""
    verdict, feedback = None, draw.choice((None, "pending"))
    if draw.random() < staff.JUDGED:
        chance = run.agent.chance.at(run.moment)
        verdict = Verdict(draw.random() < chance, chance)
        feedback = "approved" if verdict.success else draw.choice(("modified", "rejected"))
    run.decisions.append(Decision(at, verdict))
    key: Row = {
        "session_id": run.uuid(),
        "decision_id": run.uuid("decision", len(run.decisions)),
        "created_at": at,
    }
    is_judged_later = draw.random() < 0.5
    row: Row = {
        "decision_type": "review",
        "input_context": {},
        "action_taken": {},
        "user_feedback": "pending" if is_judged_later else feedback,
    }
    there = pen.write(at, "agentic.agent_decisions", key | row, after=first)
    if is_judged_later:
        judged = {"user_feedback": feedback}
        pen.write(at, "agentic.agent_decisions", judged, key=key, after=there)


RUNS: dict[str, Callable[[Run], list[Write]]] = {
    "raaf": raaf,
    "observability": observability,
    "traceability": traceability,
    "chat": chat,
    "agentic": agentic,
}


def beside_runs(system: str, seed: int, first_day: date, days: int) -> Iterator[Write]:
    """Who and what is there before the first run, and what a system keeps without any run."""
    start = midnight(first_day) - timedelta(days=1)
    agents = [agent for agent in staff.AGENTS if agent.system == system]
    users = [user_id(system, seed, number) for number in range(staff.USERS)]

    def new(table: str, at: datetime = start, **row: Any) -> Write:
        return Write(at, at, table, row)

    match system:
        case "observability":
            for user in users:
                yield new("observability.profiles", id=user, email=f"{user}@example.org")
        case "traceability":
            for pattern in staff.PATTERNS:
                yield new(
                    "traceability.success_patterns",
                    id=pattern_uuid(seed, pattern),
                    pattern_hash=pattern_uuid(seed, pattern).hex,
                    domain=pattern.domain,
                    tool_sequence=list(pattern.steps),
                )
        case "chat":
            for user in users:
                yield new("chat.users", id=user)
            for agent in agents:
                agent_id, name = agent_uuid(seed, agent), f" {agent.name.title()}-{seed}"
                yield new("chat.agents", id=agent_id, user_id=users[0], name=name, description="")
                yield from _states(agent_id, first_day, days, new)
            yield from _channel(users[0], seed, first_day, days, new)
        case "agentic":
            for user in users:
                yield new("agentic.users", user_id=user, email=f"{user}@example.org")
    if system in ("observability", "agentic"):  # the evaluator's verdicts stand there too
        for agent in agents:
            yield new(
                "agentic.agents",
                agent_id=agent_uuid(seed, agent),
                name=f"{agent.name}-{seed}",
                persona_type=agent.workflow if system == "agentic" else "assistant",
                capabilities={},
                config={"version": agent.version, "model": agent.model.name},
            )


def _states(
    agent_id: UUID, first_day: date, days: int, new: Callable[..., Write]
) -> Iterator[Write]:
    """A state a week. The old one ends where the next begins, so that they arrive in order."""
    starts = [midnight(first_day) + timedelta(weeks=week) for week in range(-(-days // 7))]
    states = [(start, uuid(agent_id, start)) for start in starts]
    for number, (at, state) in enumerate(states):
        if number:
            ends: Row = {"valid_until": at, "is_current": False}
            yield Write(at, at, "chat.agent_states", ends, {"id": states[number - 1][1]})
        yield new(
            "chat.agent_states",
            at,
            id=state,
            agent_id=agent_id,
            version=f"1.{number}.0",
            state_hash=state.hex,
            valid_from=at,
        )
        yield new(
            "chat.state_checkpoints",
            at,
            id=uuid("checkpoint", state),
            agent_id=agent_id,
            state_id=state,
            checkpoint_type="automatic",
            state_data={},
            created_at=at,
        )
    for (_, before), (at, state) in pairwise(states):
        yield new(
            "chat.state_transitions",
            at,
            id=uuid("transition", state),
            agent_id=agent_id,
            from_state_id=before,
            to_state_id=state,
            transition_type="update",
            changes={},
            created_at=at,
        )


def _channel(
    owner: str | None, seed: int, first_day: date, days: int, new: Callable[..., Write]
) -> Iterator[Write]:
    """A channel of the first generation, where somebody still writes."""
    workspace, channel = uuid(seed, "workspace"), uuid(seed, "channel")
    yield new("chat.workspaces", id=workspace, name="Team", owner_user_id=owner)
    yield new("chat.chat_channels", id=channel, workspace_id=workspace, name="general")
    for day in range(days):
        at = midnight(first_day) + timedelta(days=day, hours=9)
        yield new(
            "chat.chat_messages",
            at,
            id=uuid(channel, day),
            channel_id=channel,
            sender_user_id=owner,
            content="good morning",
            created_at=at,
        )
