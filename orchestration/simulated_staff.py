"""Who works in the five source systems of the invented company, and how well: the truth as data.

`simulated_traffic` lets them work. Chances are those of a run, or a decision, that somebody judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

SHARES = {"raaf": 0.1, "observability": 0.25, "traceability": 0.35, "chat": 0.1, "agentic": 0.2}
SYSTEMS = tuple(SHARES)
USERS = 20  # in each system that knows its users
TASKS = ("standard", "odd", "hard")

JUDGED = 0.7
CANCELLED = 0.04
UNFINISHED = 0.01  # nobody will ever say how they ended
CRASHED = 0.3  # of the runs without success; the others come to their end all the same
CALL_FAILED = 0.05  # each is tried again, and so is a tool
TOOL_FAILED = 0.08
HELPED = 0.7  # chance that what one agent hands to another succeeds
TOO_SURE = 0.15  # how much the router's confidence is above the true chance
HOURS_AWAY = 0.01  # chance that a step takes hours

# How long what a run writes is under way: a share of the runs, and the longest delay among them.
DELAYS = (
    (0.80, timedelta(minutes=2)),
    (0.10, timedelta(hours=12)),
    (0.06, timedelta(days=5)),
    (0.03, timedelta(days=45)),
    (0.01, timedelta(days=150)),
)
LATEST = DELAYS[-1][1]
LATE_ROWS = 0.1  # share of the rows that are under way longer than the rest of their run
DELIVERED_TWICE = 0.03


@dataclass(frozen=True)
class Model:
    """A language model: its name as sources write it, and as the price book knows it, if it does."""

    name: str
    provider: str | None = None
    book_name: str | None = None


@dataclass(frozen=True)
class Chance:
    """The true chance of success over the period, whose moments run from 0 to 1.

    Without `ends_at` it stays; with it, it jumps there at `jumps_at`, or else drifts there evenly.
    """

    starts_at: float
    ends_at: float | None = None
    jumps_at: float | None = None

    @property
    def course(self) -> str:
        """Whether it is steady, jumps or drifts."""
        if self.ends_at is None:
            return "steady"
        return "drifts" if self.jumps_at is None else "jumps"

    def at(self, moment: float) -> float:
        """The chance at a moment."""
        if self.ends_at is None:
            return self.starts_at
        if self.jumps_at is None:
            return self.starts_at + moment * (self.ends_at - self.starts_at)
        return self.ends_at if moment >= self.jumps_at else self.starts_at


@dataclass(frozen=True)
class Pattern:
    """A way of working; the uplift is what it adds to the chance of whoever uses it."""

    name: str
    domain: str
    steps: tuple[str, ...]
    uplift: float


LUNA = Model("gpt-5.6-luna", "openai", "gpt-5.6-luna")
SOL = Model("gpt-5.6-sol", "openai", "gpt-5.6-sol")
SONNET = Model("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5")
BY_THE_HOUR = Model("deepseek-v4-flash", "deepseek", "deepseek-v4-flash")
HOUSE = Model("house-llm-32b")
COUNTERPART = LUNA


@dataclass(frozen=True)
class Agent:
    """One version of an agent. Without a version, its system knows it by nothing but its name."""

    system: str
    name: str
    chance: Chance
    version: str | None = None
    model: Model = HOUSE
    domain: str | None = None
    workflow: str | None = None
    pattern: Pattern | None = None
    uses_pattern: float = 0.0  # share of its runs, whatever the task
    reports_cost: float = 0.0  # share of its calls
    skew: timedelta = timedelta(0)  # how far its clock is ahead


PATTERNS = (
    Pattern("plan-first", "code_generation", ("plan", "write", "test"), 0.25),
    Pattern("test-first", "testing", ("test", "write", "test"), 0.15),
    Pattern("read-then-edit", "refactoring", ("read", "edit"), 0.08),
    Pattern("search-twice", "debugging", ("search", "search", "edit"), 0.0),
    Pattern("edit-blind", "debugging", ("edit",), -0.12),
    Pattern("ask-late", "documentation", ("write", "ask"), -0.25),
)


def _pair(pattern: Pattern) -> tuple[Agent, Agent]:
    """Two who use it. The better one does so more: over all runs alike, it would seem to help."""
    senior = Agent(
        "traceability",
        f"{pattern.name}-senior",
        Chance(0.65, 0.6),
        workflow="user_prompt",
        pattern=pattern,
        uses_pattern=0.85,
    )
    junior = Agent(
        "traceability",
        f"{pattern.name}-junior",
        Chance(0.35),
        workflow="user_prompt",
        pattern=pattern,
        uses_pattern=0.15,
        skew=timedelta(minutes=-50),
    )
    return senior, junior


AGENTS = (
    Agent("raaf", "refund-triage", Chance(0.9), "4.2", SOL, workflow="Refund"),
    Agent("raaf", "parcel-triage", Chance(0.7), "4.0", HOUSE, workflow="Parcel"),
    Agent(
        "observability",
        "search-desk",
        Chance(0.8),
        "2.1",
        LUNA,
        "search",
        "answer-question",
        reports_cost=0.3,
    ),
    Agent(
        "observability",
        "contract-reader",
        Chance(0.9, 0.45, jumps_at=0.5),
        "1.0",
        SOL,
        "contracts",
        "read-contract",
    ),
    Agent(
        "observability",
        "claims-clerk",
        Chance(0.4, 0.85),
        "0.7",
        SONNET,
        "claims",
        "settle-claim",
        reports_cost=0.6,
        skew=timedelta(minutes=20),
    ),
    Agent(
        "observability",
        "night-watch",
        Chance(0.6),
        "1.3",
        BY_THE_HOUR,
        "monitoring",
        "watch",
        skew=timedelta(hours=-3),
    ),
    Agent("observability", "archive-miner", Chance(0.7), "3.0", HOUSE, "archive", "mine"),
    *(agent for pattern in PATTERNS for agent in _pair(pattern)),
    Agent("chat", "muse", Chance(0.9), model=LUNA, workflow="conversation"),
    Agent("chat", "tutor", Chance(0.9), model=SONNET, workflow="conversation"),
    Agent("agentic", "pair", Chance(0.97), "7.0", SONNET, "backend", "developer"),
    Agent(
        "agentic",
        "gatekeeper",
        Chance(0.95, 0.5, jumps_at=0.6),
        "2.2",
        SOL,
        "security",
        "security",
    ),
    Agent("agentic", "scribe", Chance(0.3, 0.9), "1.1", LUNA, "documentation", "documentation"),
)
