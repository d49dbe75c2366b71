# ruff: noqa: S311  (the draws must repeat by seed; nothing here is a secret)
"""Agent runs of the invented company, as records of the schema `agent-run/1`.

The draws of each purpose come from a stream of their own, named by seed, run and purpose: one more
draw for the clock moves no outcome.
"""

from __future__ import annotations

import gzip
import math
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import IO, TYPE_CHECKING, Any

import msgspec
from genai_prices import Usage, calc_price

from orchestration import simulated_company as company
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestration.simulated_company import Agent, Domain, Model, Route, Task, Tool

Record = dict[str, Any]

LAST_DAY = date(2026, 6, 28)  # a Sunday, so that the default period is four whole weeks


@dataclass
class Summary:
    """What a file holds; the days are those of the runs' starts in UTC."""

    path: Path
    first_day: date
    last_day: date
    runs: int = 0
    messages: int = 0


def simulate(
    days: int = 28, runs_per_day: int = 60, seed: int = 1, last_day: date = LAST_DAY
) -> Iterator[Record]:
    """Yield `days` times `runs_per_day` records, ordered by their start in UTC.

    `runs_per_day` is the mean; growth and the week spread it. Money is `Decimal`. The same
    arguments give the same records, as long as genai-prices keeps its prices.

    Raises:
        AgentbooksError: `days` or `runs_per_day` is below 1.
    """
    if days < 1 or runs_per_day < 1:
        raise AgentbooksError(
            f"cannot simulate {days} days of {runs_per_day} runs; give at least 1 of each"
        )
    return (
        _record(job)
        for index, size in enumerate(_daily_sizes(days, runs_per_day, last_day))
        for job in _jobs(seed, last_day - timedelta(days=days - 1 - index), index / days, size)
    )


def write(
    path: Path | str,
    days: int = 28,
    runs_per_day: int = 60,
    seed: int = 1,
    last_day: date = LAST_DAY,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Write the records of `simulate` as NDJSON, gzipped if the name ends in `.ndjson.gz`.

    `progress` is called after each record with the number written and the number to come in all.

    Raises:
        AgentbooksError: The name ends in neither, or as `simulate` does.
    """
    path = Path(path)
    if not path.name.endswith((".ndjson", ".ndjson.gz")):
        raise AgentbooksError(f"cannot write {path}: let its name end in .ndjson or .ndjson.gz")
    records = simulate(days, runs_per_day, seed, last_day)
    summary = Summary(path, last_day - timedelta(days=days - 1), last_day)
    encode = msgspec.json.Encoder(decimal_format="number").encode
    # A file that was broken off must not pass for a whole one.
    unfinished = path.with_name(f"{path.name}.unfinished")
    with ExitStack() as stack:
        file: IO[bytes] | gzip.GzipFile = stack.enter_context(unfinished.open("wb"))
        if path.suffix == ".gz":
            # Neither name nor time in the header, so that the bytes repeat.
            file = stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0))
        for record in records:
            file.write(encode(record) + b"\n")
            summary.runs += 1
            summary.messages += record["n_messages"]
            if progress:
                progress(summary.runs, days * runs_per_day)
    unfinished.replace(path)
    return summary


def stream(*names: object) -> Random:
    """Draws for one purpose; Python hashes a text seed the same way everywhere."""
    return Random("/".join(map(str, names)))


def midnight(day: date) -> datetime:
    """When a day begins in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _daily_sizes(days: int, runs_per_day: int, last_day: date) -> list[int]:
    """Runs by day, which add up exactly to `days` times `runs_per_day`."""
    first_day = last_day - timedelta(days=days - 1)
    loads = [
        company.WEEKDAYS[(first_day + timedelta(days=index)).weekday()]
        * (1 + company.GROWTH * index / days)
        for index in range(days)
    ]
    scale = days * runs_per_day / math.fsum(loads)
    edges = [0, *(round(load * scale) for load in accumulate(loads))]
    return [after - before for before, after in pairwise(edges)]


@dataclass(frozen=True)
class _Job:
    """A run that is going to happen.

    Its id holds the seed, so that files of two seeds can be loaded into one database; `moment` is
    its day as a share of the period.
    """

    start: datetime
    id: str
    moment: float
    agent: Agent
    domain: Domain
    task: Task
    user: str | None = None  # who asked for it, in production
    trial: int | None = None  # which trial of its group, in an evaluation


def _jobs(seed: int, day: date, moment: float, size: int) -> list[_Job]:
    """The jobs of one day, by start."""
    in_service = [agent for agent in company.AGENTS if agent.since <= moment < agent.until]
    groups = round(size * company.EVALUATED / company.TRIALS)
    evaluations = [_evaluation(seed, day, moment, group, in_service) for group in range(groups)]
    jobs = [job for group in evaluations for job in group]
    jobs += [
        _request(seed, day, moment, number, in_service)
        for number in range(size - groups * company.TRIALS)
    ]
    return sorted(jobs, key=lambda job: (job.start, job.id))


def _evaluation(
    seed: int, day: date, moment: float, group: int, in_service: list[Agent]
) -> list[_Job]:
    """Independent trials of one task by one agent, at night."""
    draw = stream(seed, day, "evaluation", group)
    agent = draw.choice(in_service)
    domain = next(domain for domain in company.DOMAINS if domain.name == agent.domain)
    task = draw.choice(domain.tasks)
    return [
        _Job(
            midnight(day)
            + timedelta(hours=company.EVALUATION_HOUR, milliseconds=draw.randrange(3600_000)),
            f"{seed}-{day:%Y%m%d}-e{group:04d}-{trial}",
            *(moment, agent, domain, task),
            trial=trial,
        )
        for trial in range(company.TRIALS)
    ]


def _request(seed: int, day: date, moment: float, number: int, in_service: list[Agent]) -> _Job:
    """A job that a person gives to an agent, mostly in office hours."""
    who, when = stream(seed, day, "who", number), stream(seed, day, "when", number)
    (domain,) = who.choices(company.DOMAINS, [domain.share for domain in company.DOMAINS])
    staff = [agent for agent in in_service if agent.domain == domain.name]
    (agent,) = who.choices(staff, [agent.share for agent in staff])
    # Few people ask for most of the work, and other people in each domain.
    rank = int(len(company.USERS) * who.random() ** 2)
    user = company.USERS[(rank + 11 * company.DOMAINS.index(domain)) % len(company.USERS)]
    (hour,) = when.choices(range(24), company.HOURS)
    start = midnight(day) + timedelta(hours=hour, milliseconds=when.randrange(3600_000))
    job_id = f"{seed}-{day:%Y%m%d}-p{number:05d}"
    return _Job(start, job_id, moment, agent, domain, who.choice(domain.tasks), user=user)


@cache
def _prices(model: str, day: date) -> tuple[Decimal, Decimal, Decimal] | None:
    """USD per token read, read from cache and written; None if nobody prices the model.

    One token's price holds for all of them, because no simulated prompt reaches a price tier.
    """
    units = (
        Usage(input_tokens=1),
        Usage(input_tokens=1, cache_read_tokens=1),
        Usage(output_tokens=1),
    )
    try:
        read, cached, written = (
            calc_price(unit, model, genai_request_timestamp=midnight(day)).total_price
            for unit in units
        )
    except LookupError:
        return None
    return read, cached, written


@dataclass
class _Run:
    """A run while it happens: the clock, and the messages so far with what they cost."""

    job: _Job
    ref: str
    clock: Random
    tokens: Random
    tools: Random
    now: datetime
    messages: list[Record] = field(default_factory=list)
    calls: int = 0
    turn: int = 0
    context: int = 0  # tokens that the agent's next prompt will carry
    seen: int = 0  # how many of them the provider may have in its cache
    fees: Decimal = Decimal(0)

    def wait(self, median_seconds: float) -> None:
        """Let time pass."""
        seconds = median_seconds * self.clock.lognormvariate(0, 0.4)
        self.now += timedelta(milliseconds=max(1, round(seconds * 1000)))

    def say(self, role: str, content: str | None, **more: Any) -> None:
        """Add a message, now."""
        message = {
            "i": len(self.messages),
            "role": role,
            "turn_idx": self.turn,
            "timestamp": self.job.agent.stamp(self.now),
        }
        if content is not None:
            message["content"] = content
        self.messages.append(message | more)

    def call(self, content: str | None, size: int, tool_calls: Sequence[Record] = ()) -> None:
        """Let the agent's model write about `size` tokens."""
        model = self.job.agent.model
        cached = None
        if model.caches:
            hit = self.tokens.random() < company.CACHE_HITS
            cached = self.seen // company.CACHE_BLOCK * company.CACHE_BLOCK if hit else 0
        is_reported = self.tokens.random() < self.job.agent.reports_cost
        self.turn += 1
        self.calls += 1
        written = self.generate("assistant", model, content, size, cached, is_reported, tool_calls)
        self.seen = self.context
        self.context += written

    def generate(
        self,
        role: str,
        model: Model,
        content: str | None,
        size: int,
        cached: int | None,
        is_reported: bool,
        tool_calls: Sequence[Record] = (),
    ) -> int:
        """Add an LLM call; return the tokens that it wrote."""
        prompt, written = self.context, round(size * self.tokens.lognormvariate(0, 0.35))
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        }
        if cached is not None:
            usage["cached_tokens"] = cached
        more: Record = {"usage": usage, "finish_reason": "tool_calls" if tool_calls else "stop"}
        if tool_calls:
            more["tool_calls"] = tool_calls
        prices = _prices(model.name, self.now.date())
        if prices and is_reported:
            fresh = prompt - (cached or 0)
            more["cost"] = prices[0] * fresh + prices[1] * (cached or 0) + prices[2] * written
        self.wait(0.5 + written / model.tokens_per_second)
        self.say(role, content, **more)
        return written

    def use(self, tools: Sequence[Tool]) -> list[Tool]:
        """Let the agent call these tools in one message; return those that failed."""
        words = {"ref": self.ref, "task": self.job.task.summary}
        requests = [
            {
                "id": f"call_{self.tools.getrandbits(64):016x}",
                "name": tool.name,
                "requestor": "assistant",
                "arguments": {tool.argument: tool.value.format(**words)},
            }
            for tool in tools
        ]
        self.call(None, 45 * len(tools), requests)
        failed = []
        for tool, request in zip(tools, requests, strict=True):
            self.wait(tool.seconds)
            error = self.tools.random() < tool.failure_rate
            if error:
                failed.append(tool)
                content = self.tools.choice(company.TOOL_ERRORS)
            else:
                self.fees += tool.fee_usd
                content = tool.result.format(**words)
            self.say(
                "tool", content, tool_call_id=request["id"], requestor="assistant", error=error
            )
            self.context += 20 if error else round(260 * self.tokens.lognormvariate(0, 0.5))
        return failed

    def hear(self, content: str, is_simulated: bool) -> None:
        """Add a message of the user: a person, or the model that plays one."""
        self.turn += 1
        if is_simulated:
            self.generate("user", company.SIMULATED_USER, content, 35, cached=0, is_reported=True)
        else:
            self.wait(40 if self.calls else 0.1)
            self.say("user", content)
        self.context += 40

    def cost(self, role: str) -> Decimal | None:
        """What the calls of a role cost together; None unless each of them says its cost."""
        calls = [m for m in self.messages if m["role"] == role and "usage" in m]
        if not calls or any("cost" not in message for message in calls):
            return None
        return sum((message["cost"] for message in calls), Decimal(0))


def _work(run: _Run, route: Route, is_simulated: bool, stop: tuple[int, str] | None) -> str:
    """Let the agent go its route; return why the run ended.

    `stop` breaks it off before the given step: 0 is the first message, 1 the first tool; at the
    latest before the closing message.
    """
    agent, domain = run.job.agent, run.job.domain
    if stop and stop[0] == 0:
        return stop[1]
    run.say("system", domain.prompt)
    run.context = domain.prompt_tokens
    run.hear(f"{run.job.task.summary} Reference {run.ref}.", is_simulated)
    tools = [domain.tool(name) for name in route.tools.split()]
    at_once = 2 if agent.parallel else 1
    asks_back = run.tools.random() < company.CLARIFIED
    for step, group in enumerate([tools[:at_once], *([t] for t in tools[at_once:])], start=1):
        if stop and stop[0] == step:
            return stop[1]
        pending = group
        for _ in range(company.TRIES):
            if run.calls == company.MAX_CALLS:
                return "max_steps"
            pending = run.use(pending)
            if not pending:
                break
        else:
            return "too_many_errors"
        if step == 1 and asks_back:
            run.call(domain.question, 30)
            run.hear(domain.answer, is_simulated)
    if stop:
        return stop[1]
    if run.calls == company.MAX_CALLS:
        return "max_steps"
    run.call(domain.closing.format(ref=run.ref), 140)
    if is_simulated:
        run.hear("Thank you, that is all.", is_simulated)
        return "user_stop"
    return "agent_stop"


def _record(job: _Job) -> Record:
    """The record of one run, made by letting it happen."""
    agent, domain = job.agent, job.domain
    is_evaluated = job.trial is not None
    is_simulated = is_evaluated and domain.conversational

    others = [(1 - agent.care) * route.share for route in domain.routes[1:]]
    (route,) = stream(job.id, "route").choices(domain.routes, [agent.care, *others])
    fate, stop = stream(job.id, "fate"), None
    lot, step = fate.random(), fate.randrange(3)
    if lot < agent.crash_rate:
        stop = step, "agent_error"
    elif lot < agent.crash_rate + company.CANCELLED and not is_evaluated:
        stop = step, "cancelled"
    ref = f"{domain.reference}-{stream(job.id, 'ref').randrange(10_000, 100_000)}"
    clock, tokens, tools = (stream(job.id, name) for name in ("clock", "tokens", "tools"))
    run = _Run(job, ref, clock, tokens, tools, now=job.start)
    run.wait(0.2)
    reason = _work(run, route, is_simulated, stop)
    run.wait(0.1)

    record = _facts(run, reason)
    if reason == "agent_error":
        record["error_message"] = fate.choice(company.CRASHES)
    # In production a part is judged, whatever came of it; what people called off is not.
    is_judged = stream(job.id, "judge").random() < domain.judged
    if is_evaluated or (is_judged and reason != "cancelled"):
        chance = company.success_probability(agent, job.task, route, job.moment)
        is_right = stream(job.id, "outcome").random() < chance
        success = is_right and reason in ("agent_stop", "user_stop")
        record |= {"reward": float(success), "success": success}
    record |= _costs(run)
    if run.calls and stream(job.id, "totals").random() < agent.only_totals:
        return record | _only_totals(run)
    return record | {"n_messages": len(run.messages), "messages": run.messages}


def _facts(run: _Run, reason: str) -> Record:
    """Who did what for whom, and when."""
    job, agent, task = run.job, run.job.agent, run.job.task
    model, simulated_user = agent.model, company.SIMULATED_USER
    facts: Record = {
        "schema": "agent-run/1",
        "run_id": f"{agent.source}:{job.id}",
        "source": agent.source,
        "agent": {
            "name": agent.name,
            "version": agent.version,
            "model": model.name,
            "provider": model.provider,
        },
        "domain": job.domain.name,
        "task_id": task.id,
        "task_summary": task.summary,
        "difficulty": task.label,
        "started_at": agent.stamp(job.start),
        "ended_at": agent.stamp(run.now),
        "duration_s": (run.now - job.start).total_seconds(),
        "termination_reason": reason,
    }
    if job.trial is None:
        return facts | {"user_id": job.user}
    facts |= {"experiment": "nightly_evaluation", "trial": job.trial}
    if job.domain.conversational:
        facts["counterpart"] = {
            "kind": "user_simulator",
            "name": "user_simulator",
            "model": simulated_user.name,
            "provider": simulated_user.provider,
        }
    return facts


def _costs(run: _Run) -> Record:
    """The run's totals, each only where every call says its part."""
    costs: Record = {}
    llm, counterpart = run.cost("assistant"), run.cost("user")
    if llm is not None:
        costs["agent_cost_usd"] = llm + run.fees
    if run.fees:
        costs["cost_parts_usd"] = {"search_api": run.fees}
        if llm is not None:
            costs["cost_parts_usd"] |= {"llm_tokens": llm, "total_cost": llm + run.fees}
    if counterpart is not None:
        costs["counterpart_cost_usd"] = counterpart
    return costs


def _only_totals(run: _Run) -> Record:
    """What is left of the messages where a source keeps only their totals."""
    totals: Counter[str] = Counter()
    for message in run.messages:
        if message["role"] == "assistant":
            totals.update(message["usage"])
    return {
        "usage_totals": dict(totals),
        "turn_count": run.calls,
        "n_messages": 0,
        "messages": [],
    }
