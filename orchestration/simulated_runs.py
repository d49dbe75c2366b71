"""One run of the invented company as it truly happened, and what is written of it, when.

Times are those of the writer's clock, which may be wrong; a write arrives by the true one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, UUID, uuid5

from orchestration import simulated_staff as staff
from orchestration.simulate import stream

if TYPE_CHECKING:
    from decimal import Decimal
    from random import Random

    from orchestration.simulated_staff import Agent, Model

Row = dict[str, Any]

SERVICE, LOADER = "service_role", "agentbooks_loader"


def uuid(*names: object) -> UUID:
    """The id of what these names name: the same each time."""
    return uuid5(NAMESPACE_OID, "/".join(map(str, ("agentbooks", *names))))


def agent_uuid(seed: int, agent: Agent) -> UUID:
    """The id of an agent where agents have one."""
    return uuid(seed, agent.system, "agent", agent.name)


def pattern_uuid(seed: int, pattern: staff.Pattern) -> UUID:
    """The id of a pattern."""
    return uuid(seed, "pattern", pattern.name)


def user_id(system: str, seed: int, number: int) -> str | None:
    """A user as the system writes it; the agent framework knows none."""
    match system:
        case "raaf":
            return None
        case "traceability":
            return f"user-{seed}-{number:03d}"
        case _:
            return str(uuid(seed, system, "user", number))


@dataclass
class Call:
    """A call of a language model, as far as its source knows it."""

    at: datetime
    model: Model
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None  # where the source does not split them
    reported_cost: Decimal | None = None
    payer: str = "agent"


@dataclass
class Tool:
    """A call of a tool."""

    at: datetime
    name: str
    failed: bool = False
    duration_ms: int = 0


@dataclass(frozen=True)
class Route:
    """A router's choice of an agent, and what came of it if the agent was not passed over."""

    at: datetime
    agent_name: str
    strategy: str
    is_cached: bool
    confidences: dict[str, Decimal | None]
    duration_ms: int
    outcome: bool | None = None
    is_overruled: bool = False


@dataclass(frozen=True)
class Hook:
    """A hook that ran around a tool."""

    at: datetime
    kind: str
    name: str
    tool: str
    duration_ms: int
    failed: bool = False
    blocks: bool = False
    quality: Decimal | None = None


@dataclass(frozen=True)
class Request:
    """A call of a service, with its retries."""

    at: datetime
    service: str
    duration_ms: int
    status: int | None
    retries: int
    error_type: str | None


@dataclass(frozen=True)
class Handoff:
    """Work that one agent hands to another."""

    at: datetime
    giver: str
    taker: str | None
    duration_ms: int
    failed: bool = False
    success: bool | None = None
    overhead_ms: int | None = None


@dataclass(frozen=True)
class Failure:
    """What failed in a run, besides the run."""

    at: datetime
    step: str
    error_type: str = "unclassified"


@dataclass(frozen=True)
class Verdict:
    """What somebody judged, and how likely it was to succeed."""

    success: bool
    chance: float


@dataclass(frozen=True)
class Decision:
    """What an agent decided in a run; only some are judged."""

    at: datetime
    verdict: Verdict | None


@dataclass
class Run:
    """What happened in one run, as far as its system can know."""

    name: str  # what its draws and ids come from
    seed: int
    agent: Agent
    moment: float  # its start, as a share of the period
    started_at: datetime
    id: str = ""  # as its system calls it
    status: str = "succeeded"
    ended_at: datetime | None = None
    user: str | None = None
    task: str | None = None
    trial: int | None = None
    verdict: Verdict | None = None
    uses_pattern: bool = False
    error_type: str | None = None
    fees: Decimal | None = None
    total: Call | None = None  # instead of calls, where the source keeps only their sum
    calls: list[Call] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    messages: list[datetime] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    handoffs: list[Handoff] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def agent_name(self) -> str:
        """The agent's name; as all names, it holds the seed."""
        return f"{self.agent.name}-{self.seed}"

    @property
    def duration_ms(self) -> int | None:
        """How long it took."""
        if self.ended_at is None:
            return None
        return round((self.ended_at - self.started_at) / timedelta(milliseconds=1))

    def draw(self, purpose: str) -> Random:
        """Draws for one purpose in this run."""
        return stream(self.name, purpose)

    def uuid(self, *names: object) -> UUID:
        """The id of something in this run."""
        return uuid(self.name, *names)


@dataclass(frozen=True)
class Write:
    """A row that is inserted or, with a key, changes the row that has this key."""

    arrives_at: datetime
    event_at: datetime
    table: str
    row: Row
    key: Row | None = None
    role: str = SERVICE
    is_repeatable: bool = True


class Clock:
    """Time that passes in a run."""

    def __init__(self, run: Run) -> None:
        self.now = run.started_at
        self.draw = run.draw("clock")

    def tick(self, median_seconds: float) -> datetime:
        """Let time pass, and give the time."""
        seconds = median_seconds * self.draw.lognormvariate(0, 0.6)
        if self.draw.random() < staff.HOURS_AWAY:
            seconds += 3600 * self.draw.randrange(1, 9)
        self.now += timedelta(milliseconds=max(1, round(1000 * seconds)))
        return self.now


class Pen:
    """Notes what is written of a run, and when it arrives."""

    def __init__(self, run: Run, role: str = SERVICE) -> None:
        self.role = role
        self.skew = run.agent.skew
        self.draw = run.draw("arrival")
        self.delay_of_run = self._delay()
        self.writes: list[Write] = []

    def write(
        self,
        at: datetime,
        table: str,
        row: Row,
        *,
        after: datetime | None = None,
        key: Row | None = None,
        is_repeatable: bool = True,
    ) -> datetime:
        """Write at an event's time; give the time of arrival, which is not before `after`."""
        delay = self.delay_of_run
        if self.draw.random() < staff.LATE_ROWS:
            delay = min(delay + self._delay(), staff.LATEST)
        arrives_at = at - self.skew + delay
        if after:
            arrives_at = max(arrives_at, after)
        self.writes.append(Write(arrives_at, at, table, row, key, self.role, is_repeatable))
        return arrives_at

    def _delay(self) -> timedelta:
        longest = self.draw.choices(
            [longest for _, longest in staff.DELAYS], [share for share, _ in staff.DELAYS]
        )
        return longest[0] * self.draw.random()
