"""How long trust takes: 10 million decisions of 10,000 agents replayed into the marts, and a day more.

The decisions lie in `int_decisions__daily`, 10 a day for 100 days, of agents between 70 and 99 % who change
half-way. Measured are the project's own statements for the fold and all marts on it; then a day more of every
agent, then a decision of one agent that is 50 days late. Last, the errors of rules of promotion.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console

from benchmarks.refresh import build_marts
from orchestration import bootstrap, database, server, trust_test
from tests.refreshing import Refresher

if TYPE_CHECKING:
    from collections.abc import Callable

AGENTS = 10_000
DAYS = 100
DAILY = 10
DATABASE = "agentbooks_trust"
DAILY_TABLE = "intermediate.int_decisions__daily"
TABLES = (
    "intermediate.int_trust__folded",
    "marts.trust_progression",
    "marts.trust_transitions",
    "marts.trust_current",
)
DAYS_OF_AGENTS = """
insert into intermediate.int_decisions__daily (
    decisions_daily_key, decided_date, agent_key, domain, agent_domain_key, decisions, successes,
    rejections, critical_failures, confidence_total, confidences, outcomes, decided_ats
)
select
    md5(row(d.day - date '2000-01-01', md5(d.agent::text))::text), d.day, md5(d.agent::text), 'd',
    md5(d.agent::text), %(daily)s::bigint, (select sum(o) from unnest(d.outcomes) as o), 0, 0, null, 0,
    d.outcomes,
    array(
        select d.day::timestamp at time zone 'UTC' + n * interval '1 hour'
        from generate_series(1, %(daily)s::int) as n
    )
from (
    select
        a.agent, date '2026-01-01' + n.day as day,
        array(
            -- The numbers of the row, so that each has draws of its own.
            select
                (random() < 0.7 + 0.29 * (hashint4(a.agent + n.day / 50) & 1023) / 1023)::int::smallint
            from generate_series(1, %(daily)s::int + 0 * n.day * a.agent)
        ) as outcomes
    from generate_series(1, %(agents)s::int) as a (agent)
    cross join generate_series(%(first)s::int, %(last)s::int) as n (day)
) as d
"""
CHANGED = """
insert into ops.changes (table_name, keys)
select 'intermediate.int_decisions__daily',
    jsonb_build_object('agent_domain_key', agent_domain_key, 'day', decided_date)
from intermediate.int_decisions__daily
where decided_date = date '2026-01-01' + %(day)s::int and agent_domain_key = any(%(agents)s)
"""


def main(agents: int = AGENTS) -> None:
    """Measure and print."""
    dsn = server.up().dsn if database.is_embedded() else database.database_url()
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"drop database if exists {DATABASE} with (force)")
        admin.execute(f"create database {DATABASE}")
    url = f"{dsn.rpartition('/')[0]}/{DATABASE}"
    with psycopg.connect(url, autocommit=True) as connection:
        bootstrap.bootstrap(connection)
        refresher = Refresher.build(url, build_marts)
        connection.execute("select setseed(0.5)")
        _fill(connection, agents, 0, DAYS - 1)

        def refresh(*, is_full: bool = False) -> dict[str, float]:
            return {
                name: _seconds(
                    lambda name=name: refresher.run(
                        connection, name, refresher.statements[name], is_full=is_full
                    )
                )
                for name in TABLES
            }

        _tell(f"replay of {agents * DAYS * DAILY:,} decisions", refresh(is_full=True))
        _fill(connection, agents, DAYS, DAYS)
        every = [
            key for (key,) in connection.execute(f"select distinct agent_key from {DAILY_TABLE}")
        ]
        connection.execute(CHANGED, {"day": DAYS, "agents": every})
        _tell("a day more of every agent", refresh())
        connection.execute(
            f"update {DAILY_TABLE}"
            " set outcomes[3] = 1 - outcomes[3], successes = successes + 1 - 2 * outcomes[3]"
            " where decided_date = date '2026-01-01' + 50 and agent_key = %s",
            (every[0],),
        )
        connection.execute(CHANGED, {"day": 50, "agents": every[:1]})
        _tell("a decision that is 50 days late", refresh())
        result = trust_test.measure(connection)
    Console(width=160).print(trust_test.markdown(result.figures))


def _fill(connection: psycopg.Connection, agents: int, first: int, last: int) -> None:
    connection.execute(
        DAYS_OF_AGENTS, {"agents": agents, "daily": DAILY, "first": first, "last": last}
    )
    connection.execute(f"vacuum analyze {DAILY_TABLE}")


def _tell(what: str, seconds: dict[str, float]) -> None:
    parts = ", ".join(f"{name.rpartition('.')[2]} {took:.1f}" for name, took in seconds.items())
    print(f"{what}: {sum(seconds.values()):.1f} s ({parts})", flush=True)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
