"""What the marts say, for a terminal: cost by model, trust by agent, best and worst patterns."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from rich.box import SIMPLE_HEAD
from rich.table import Table

from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from rich.console import Console

FEWEST_USES = 5
SHORT = 16


@dataclass(frozen=True)
class Section:
    """A table of the report: its title and the query behind it, which anyone can run."""

    title: str
    query: str


SECTIONS = (
    Section(
        "All in all",
        """
        select
            source_system as system,
            count(*) as runs,
            count(*) filter (where status = 'failed') as failed,
            avg(is_success::int) as success,
            sum(llm_calls) as "LLM calls",
            sum(tool_calls) as "tool calls",
            sum(cost_usd) as "cost USD",
            min(started_at)::date as first,
            max(started_at)::date as last
        from marts.agent_runs
        group by source_system
        order by runs desc
        """,
    ),
    Section(
        "Cost by model (the ten that cost most)",
        """
        select
            model_recorded as model,
            payer,
            sum(llm_calls) as calls,
            sum(input_tokens) as "input tokens",
            sum(cached_input_tokens)::numeric / nullif(sum(input_tokens), 0) as cached,
            sum(output_tokens) as "output tokens",
            sum(cost_usd) as "cost USD",
            sum(calls_unpriced) as "unpriced calls"
        from marts.cost_daily
        group by model_recorded, payer
        order by sum(cost_usd) desc nulls last, sum(input_tokens) desc, model_recorded
        limit 10
        """,
    ),
    Section(
        "Trust by agent (the ten with the most decisions)",
        """
        select
            concat_ws(' ', agents.agent_name, agents.agent_version, agents.model_recorded) as agent,
            trust.domain,
            trust.decisions,
            trust.success_rate as success,
            trust.interval_low as "at least",
            trust.level || ' ' || trust_levels.name as level,
            trust.level_since as since
        from marts.trust_current as trust
        inner join seeds.trust_levels using (level)
        inner join (
            select distinct agent_key, agent_name, agent_version, model_recorded
            from marts.agent_runs
        ) as agents using (agent_key)
        order by trust.decisions desc, agent
        limit 10
        """,
    ),
)
PATTERNS = """
    select
        pattern,
        domain,
        uses,
        success_rate as success,
        uplift,
        uplift_low as low,
        uplift_high as high,
        verdict
    from marts.pattern_effectiveness
    where uses >= {fewest} and uplift is not null
    order by uplift {direction}, pattern_id
    limit 5
"""
BEST = Section("Best patterns", PATTERNS.format(fewest=FEWEST_USES, direction="desc"))
WORST = Section("Worst patterns", PATTERNS.format(fewest=FEWEST_USES, direction="asc"))


def print_report(connection: psycopg.Connection, console: Console) -> None:
    """Print what the marts say.

    Raises:
        AgentbooksError: There are no marts yet.
    """
    for section in (*SECTIONS, BEST, WORST):
        try:
            cursor = connection.execute(section.query.encode())
        except psycopg.errors.UndefinedTable as error:
            raise AgentbooksError(
                "report: the database has no marts; run `dbt build` or `make demo` first."
            ) from error
        names = [column.name for column in cursor.description or []]
        table = Table(
            title=section.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD
        )
        rows = cursor.fetchall()
        for position, name in enumerate(names):
            is_number = any(isinstance(row[position], int | Decimal) for row in rows)
            is_short = is_number or all(len(str(row[position])) <= SHORT for row in rows)
            table.add_column(
                name,
                justify="right" if is_number else "left",
                no_wrap=is_short,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(_cell(name, value) for name, value in zip(names, row, strict=True)))
        console.print(table if rows else f"{section.title}: nothing yet.")
        console.print()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        if "USD" in name:
            return f"{value:,.4f}" if 0 < value < 1 else f"{value:,.2f}"
        return f"{value:,.0f}" if name.endswith(("tokens", "calls")) else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
