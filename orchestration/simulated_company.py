"""The invented company that `simulate` lets work: its agents, tools, tasks and users.

What is written here is the truth; the records show only what an agent would have logged. Skills,
difficulties and uplifts are in log-odds and add up to the chance of success.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

GROWTH = 0.6  # the load after the last day over that of the first, less 1
WEEKDAYS = (1.0, 1.1, 1.05, 1.0, 0.85, 0.25, 0.2)  # load by weekday, from Monday
HOURS = (1, 1, 1, 1, 1, 3, 10, 30, 60, 75, 70, 50, 55, 75, 70, 55, 30, 14, 8, 6, 4, 3, 2, 1)  # UTC
TRIALS = 4
EVALUATED = 0.2  # share of runs that are nightly evaluations, in groups of TRIALS
EVALUATION_HOUR = 2
CANCELLED = 0.02
CLARIFIED = 0.25  # chance that the agent asks back after its first step
TRIES = 3  # of a failing tool, before the agent gives up
MAX_CALLS = 7  # of the agent's model in one run
CACHE_HITS = 0.9
CACHE_BLOCK = 128  # providers cache prompts in blocks of this many tokens
TOOL_ERRORS = ("503 upstream unavailable", "timeout after 30 s", "429 too many requests")
CRASHES = ("provider overloaded (529)", "context deadline exceeded", "invalid tool arguments")


@dataclass(frozen=True)
class Model:
    """A language model; what a call costs is for genai-prices to say, if it knows the model."""

    name: str
    provider: str
    tokens_per_second: float
    caches: bool = True


@dataclass(frozen=True)
class Tool:
    """A tool; a retry fails as often as a first call does."""

    name: str
    argument: str
    result: str
    failure_rate: float = 0.02
    seconds: float = 0.6  # median
    value: str = "{ref}"
    fee_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class Task:
    """A kind of work that comes again and again."""

    id: str
    difficulty: float  # in log-odds, taken off the agent's skill
    summary: str

    @property
    def label(self) -> str:
        """The difficulty as people would file it."""
        return "easy" if self.difficulty < 0 else "medium" if self.difficulty < 0.8 else "hard"


@dataclass(frozen=True)
class Route:
    """A way through a task; the uplift is what the sequence itself adds to the log-odds."""

    tools: str  # their names in order, separated by spaces
    uplift: float
    share: float = 0.0  # among the runs that do not take the careful route


@dataclass(frozen=True)
class Domain:
    """A field of work. The first route is the careful one: it verifies before it acts."""

    name: str
    share: float  # of all runs in production
    judged: float  # chance that a finished run in production is judged, whatever came out
    reference: str
    prompt: str
    prompt_tokens: int
    question: str
    answer: str
    closing: str
    tools: tuple[Tool, ...]
    routes: tuple[Route, ...]
    tasks: tuple[Task, ...]
    conversational: bool = False  # its evaluations talk to a simulated user

    def tool(self, name: str) -> Tool:
        """The tool of this name."""
        return next(tool for tool in self.tools if tool.name == name)


@dataclass(frozen=True)
class Agent:
    """One version of an agent. Times are shares of the simulated period, 0 to 1."""

    name: str
    version: str
    model: Model
    domain: str
    skill: float  # log-odds of success at difficulty 0 on a route without uplift
    care: float  # chance to take the careful route
    share: float = 1.0  # of its domain's runs, relative to the other agents in service
    crash_rate: float = 0.01
    reports_cost: float = 1.0  # chance that a call's cost is logged
    only_totals: float = 0.0  # chance that nothing but the run's totals is logged
    parallel: bool = False  # calls its first two tools at once
    since: float = 0.0
    until: float = 1.0
    changes_at: float = 1.0
    change: float = 0.0  # of skill, from then on
    source: str = "sim-cloud"
    utc_offset: timedelta | None = None  # set: its clock writes local time and names no zone

    def skill_at(self, moment: float) -> float:
        """The true skill at a moment of the period."""
        return self.skill + (self.change if moment >= self.changes_at else 0.0)

    def stamp(self, when: datetime) -> str:
        """A moment in UTC as this agent's clock would write it."""
        if self.utc_offset is None:
            return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"
        return (when + self.utc_offset).replace(tzinfo=None).isoformat(timespec="milliseconds")


def success_probability(agent: Agent, task: Task, route: Route, moment: float) -> float:
    """The true chance of a run that comes to its end; one that breaks off never succeeds."""
    return 1 / (1 + math.exp(task.difficulty - agent.skill_at(moment) - route.uplift))


GPT_MINI = Model("gpt-4.1-mini", "openai", 90)
GPT = Model("gpt-5-mini", "openai", 70)
SONNET = Model("claude-sonnet-4-5", "anthropic", 60)
HAIKU = Model("claude-haiku-4-5", "anthropic", 120)
FLASH = Model("gemini-2.5-flash", "google", 150)
HOUSE = Model("house-llm-32b", "self-hosted", 35, caches=False)

DOMAINS = (
    Domain(
        name="customer_support",
        share=0.4,
        judged=0.5,
        reference="ORD",
        prompt="You help customers of a small web shop. Follow the refund policy.",
        prompt_tokens=2100,
        question="Could you confirm the e-mail address of the order?",
        answer="Yes, it is the one that I am writing from.",
        closing="I have taken care of {ref}; you will get a confirmation by e-mail.",
        conversational=True,
        tools=(
            Tool("find_customer", "order_id", "customer since 2021, no open disputes", 0.01),
            Tool("get_order", "order_id", "{ref}: 2 items, 84.90 EUR, shipped", 0.03),
            Tool("check_refund_policy", "order_id", "{ref}: refund allowed until day 30"),
            Tool("search_help_center", "query", "3 articles found", 0.05, value="{task}"),
            Tool("issue_refund", "order_id", "{ref}: refund of 84.90 EUR booked", 0.04, 1.4),
            Tool("send_reply", "order_id", "reply sent for {ref}", 0.01),
        ),
        routes=(
            Route("find_customer get_order check_refund_policy issue_refund send_reply", 0.9),
            Route("find_customer get_order issue_refund send_reply", 0.0, 0.55),
            Route("issue_refund find_customer send_reply", -1.3, 0.25),
            Route(
                "find_customer search_help_center get_order search_help_center"
                " issue_refund send_reply",
                uplift=0.0,
                share=0.2,
            ),
        ),
        tasks=(
            Task("late-parcel", -0.6, "My parcel is late and I want the shipping fee back."),
            Task("wrong-size", -0.4, "The shoes are too small; please exchange them."),
            Task("damaged-item", 0.2, "The lamp arrived broken and I want my money back."),
            Task("double-charge", 0.5, "You charged my card twice for one order."),
            Task("gift-return", 0.9, "I want to return a gift, but I have no receipt."),
            Task("late-return", 1.4, "I am past the return period, but I was in hospital."),
        ),
    ),
    Domain(
        name="invoice_processing",
        share=0.3,
        judged=0.8,
        reference="INV",
        prompt="You book supplier invoices. Never post what does not match its order.",
        prompt_tokens=1500,
        question="Which cost centre should carry this invoice?",
        answer="The one of the purchase order, please.",
        closing="{ref} is booked.",
        tools=(
            Tool("read_invoice", "document", "{ref}: 4 lines, net 1,240.00 EUR", 0.03, 2.2),
            Tool("match_purchase_order", "document", "{ref}: one order with 4 lines matches"),
            Tool("check_vat_number", "document", "VAT number is valid", 0.3, 3.5),
            Tool("check_totals", "document", "{ref}: the lines add up to the total", 0.01),
            Tool("post_booking", "document", "{ref}: posted", 0.03, 1.1),
        ),
        routes=(
            Route("read_invoice match_purchase_order check_totals post_booking", 1.1),
            Route("read_invoice match_purchase_order post_booking", 0.0, 0.5),
            Route("read_invoice post_booking", -1.2, 0.3),
            Route("read_invoice check_vat_number match_purchase_order post_booking", 0.0, 0.2),
        ),
        tasks=(
            Task("standard-invoice", -0.8, "Please book this invoice against its order."),
            Task("partial-delivery", 0.3, "Only part of the goods came; book what was delivered."),
            Task("credit-note", 0.4, "Set this credit note off against the open invoice."),
            Task("foreign-currency", 0.7, "Book this invoice in Swiss francs."),
            Task("missing-order", 1.3, "There is no order for this invoice; find out who asked."),
        ),
    ),
    Domain(
        name="code_review",
        share=0.2,
        judged=0.7,
        reference="PR",
        prompt="You review pull requests of a Python service. Report defects, not taste.",
        prompt_tokens=3200,
        question="Is the change meant to stay compatible with the old clients?",
        answer="Yes, for one more release.",
        closing="Review of {ref} is done; the comments are in the pull request.",
        tools=(
            Tool("fetch_diff", "pull_request", "{ref}: 6 files, +142 -37", 0.02, 0.9),
            Tool("read_file", "pull_request", "214 lines", 0.02, 0.3),
            Tool("search_code", "pull_request", "11 places call it", 0.04, 0.8),
            Tool("run_tests", "pull_request", "187 passed, 1 failed", 0.25, 48.0),
            Tool("post_comments", "pull_request", "{ref}: 3 comments posted", 0.02, 0.7),
        ),
        routes=(
            Route("fetch_diff read_file run_tests post_comments", 1.0),
            Route("fetch_diff read_file post_comments", 0.0, 0.5),
            Route("fetch_diff post_comments", -0.9, 0.3),
            Route("fetch_diff read_file search_code read_file post_comments", 0.2, 0.2),
        ),
        tasks=(
            Task("rename", -0.7, "Please review this rename across modules."),
            Task("new-endpoint", 0.2, "Please review the new export endpoint."),
            Task("schema-change", 0.9, "Please review the change of the orders table."),
            Task("race-condition", 1.5, "Please review the fix of the double booking."),
        ),
    ),
    Domain(
        name="research",
        share=0.1,
        judged=0.4,
        reference="RQ",
        prompt="You research markets and suppliers. Every claim needs a source.",
        prompt_tokens=1200,
        question="How far back should I look?",
        answer="Two years are enough.",
        closing="The brief for {ref} is ready, with its sources.",
        tools=(
            Tool("web_search", "query", "10 results", 0.03, 1.2, "{task}", Decimal("0.008")),
            Tool("open_page", "request", "page read, 2,300 words", 0.2, 2.5),
            Tool("cross_check_source", "request", "2 independent sources agree", 0.04, 2.0),
            Tool("write_brief", "request", "{ref}: brief saved, 1 page", 0.01),
        ),
        routes=(
            Route("web_search open_page cross_check_source write_brief", 1.2),
            Route("web_search open_page write_brief", 0.0, 0.5),
            Route("web_search write_brief", -1.0, 0.25),
            Route("web_search web_search web_search open_page write_brief", 0.0, 0.25),
        ),
        tasks=(
            Task("supplier-check", -0.2, "Is this supplier sound enough for a larger order?"),
            Task("price-survey", 0.3, "What do competitors ask for office chairs?"),
            Task("market-size", 0.9, "How large is the market for used desks in Austria?"),
            Task("new-regulation", 1.2, "What does the new packaging law ask of us?"),
        ),
    ),
)

AGENTS = (
    Agent("support-triage", "1.4.0", GPT_MINI, "customer_support", 1.9, 0.45, 1.6, until=0.55),
    Agent("support-triage", "2.0.0", GPT_MINI, "customer_support", 2.9, 0.85, 1.6, since=0.45),
    Agent("support-concierge", "3.1.0", SONNET, "customer_support", 3.4, 0.9, parallel=True),
    Agent(
        "invoice-clerk",
        "0.9.2",
        FLASH,
        "invoice_processing",
        skill=3.0,
        care=0.6,
        share=1.5,
        reports_cost=0.0,
        changes_at=0.6,
        change=-2.8,
    ),
    Agent(
        "invoice-auditor",
        "1.0.0",
        HOUSE,
        "invoice_processing",
        skill=1.6,
        care=0.9,
        crash_rate=0.03,
        reports_cost=0.0,
        source="sim-onprem",
        utc_offset=timedelta(hours=2),
    ),
    Agent("code-reviewer", "5.2.0", SONNET, "code_review", 2.4, 0.75, 1.5, parallel=True),
    Agent("patch-scout", "0.3.1", GPT, "code_review", -0.2, 0.2, crash_rate=0.06),
    Agent("research-desk", "2.2.0", HAIKU, "research", 2.0, 0.6, 1.5, reports_cost=0.85),
    Agent("market-digest", "1.1.0", GPT_MINI, "research", 1.0, 0.3, only_totals=0.5),
)
SIMULATED_USER = GPT_MINI
USERS = tuple(f"user-{n:03d}" for n in range(1, 41))
