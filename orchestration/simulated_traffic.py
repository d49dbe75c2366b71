"""Traffic of the invented company in all five raw schemas, in the order in which it arrives.

A run is first drawn as what truly happened; what its system writes of it follows from that, and so do
the true answers (`simulated_truth`), which never look at what was written. Rows come late, twice and
out of order, from clocks that are wrong. The seed is part of every id and of agents' names, so that
several seeds can share a database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg import sql

from orchestration import simulated_staff as staff
from orchestration import simulated_systems as systems
from orchestration.errors import AgentbooksError
from orchestration.simulate import midnight, stream
from orchestration.simulated_runs import LOADER, Row, Run, Verdict, Write, user_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import psycopg

LAST_DAY = date(
    2026, 8, 23
)  # a Sunday; in the four weeks before it, three models change their price

_PARTITIONED_BY = {
    "raaf.raaf_tracing_spans": "start_time",
    "observability.spans": "started_at",
    "traceability.pattern_usage_log": "used_at",
    "traceability.hook_executions": "started_at",
    "traceability.endpoint_calls": "started_at",
    "chat.chat_messages_v2": "created_at",
    "agentic.agent_decisions": "created_at",
    "agentic.conversation_history": "created_at",
    "agentic.agent_audit_log": "timestamp",
}


@dataclass
class Traffic:
    """All that happens in a period, and all that is written of it, by time of arrival."""

    seed: int
    first_day: date
    last_day: date
    systems: tuple[str, ...]
    runs: list[Run]
    writes: list[Write]
    deletion_requests: list[Row]

    def batches(self) -> Iterator[tuple[date, list[Write]]]:
        """Yield the writes of each UTC day on which any arrive."""
        for day, writes in groupby(self.writes, key=lambda write: write.arrives_at.date()):
            yield day, list(writes)


def simulate_traffic(
    days: int = 28,
    runs_per_day: int = 60,
    seed: int = 1,
    last_day: date = LAST_DAY,
    of: Collection[str] = staff.SYSTEMS,
) -> Traffic:
    """Draw `days` times `runs_per_day` runs, of which each system has its share.

    All of it is held in memory. `of` leaves out systems; the others stay the same.

    Raises:
        AgentbooksError: `days` or `runs_per_day` is below 1.
    """
    if days < 1 or runs_per_day < 1:
        raise AgentbooksError(
            f"cannot simulate {days} days of {runs_per_day} runs; give at least 1 of each"
        )
    first_day = last_day - timedelta(days=days - 1)
    runs: list[Run] = []
    writes: list[Write] = []
    requests: list[Row] = []
    for system in of:
        writes += systems.beside_runs(system, seed, first_day, days)
        requests += _deletion_requests(system, seed, first_day, days)
        for number in range(round(days * runs_per_day * staff.SHARES[system])):
            run = _begin(system, seed, number, first_day, days)
            runs.append(run)
            writes += systems.RUNS[system](run)
    writes += _second_deliveries(writes, seed)
    writes.sort(key=lambda write: write.arrives_at)
    return Traffic(seed, first_day, last_day, tuple(of), runs, writes, requests)


def write(connection: psycopg.Connection[Any], writes: Sequence[Write]) -> None:
    """Write as the applications would, in one transaction; what is there already is left alone."""
    with connection.transaction(), connection.pipeline():
        _ensure_partitions(connection, writes)
        for role, of_role in groupby(writes, key=lambda write: write.role):
            _become(connection, role)
            for one in of_role:
                connection.execute(*_statement(one))


def _become(connection: psycopg.Connection[Any], role: str) -> None:
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))


def _ensure_partitions(connection: psycopg.Connection[Any], writes: Sequence[Write]) -> None:
    months = {
        (write.table, write.row[column].date().replace(day=1))
        for write in writes
        if write.key is None and (column := _PARTITIONED_BY.get(write.table))
    }
    _become(connection, LOADER)
    for table, month in sorted(months):
        connection.execute(
            "select ops.create_month_partitions(ops.in_raw_schemas(%s)::regclass, %s, %s)",
            (table, month, month),
        )


def _statement(write: Write) -> tuple[sql.Composed, list[Any]]:
    table = sql.Identifier(*write.table.split("."))
    if write.key is None:
        columns = sql.SQL(", ").join(map(sql.Identifier, write.row))
        places = sql.SQL(", ").join([sql.Placeholder()] * len(write.row))
        insert = sql.SQL("insert into {} ({}) values ({}) on conflict do nothing")
        return insert.format(table, columns, places), _values(write.row)
    update = sql.SQL("update {} set {} where {}").format(
        table, _assignments(write.row, ", "), _assignments(write.key, " and ")
    )
    return update, _values(write.row) + _values(write.key)


def _assignments(row: Row, separator: str) -> sql.Composed:
    return sql.SQL(separator).join(
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder()) for column in row
    )


def _values(row: Row) -> list[Any]:
    encode = msgspec.json.Encoder(decimal_format="number").encode
    return [encode(v).decode() if isinstance(v, dict) else v for v in row.values()]


def _begin(system: str, seed: int, number: int, first_day: date, days: int) -> Run:
    """Decide who does what for whom, when, and how it comes out."""
    name = f"{seed}-{system}-{number:06d}"
    who, when, fate = (stream(name, purpose) for purpose in ("who", "when", "fate"))
    moment = when.random()
    agent = who.choice([agent for agent in staff.AGENTS if agent.system == system])
    started_at = midnight(first_day) + timedelta(milliseconds=int(moment * days * 86_400_000))
    run = Run(name, seed, agent, moment, started_at + agent.skew)
    run.user = user_id(system, seed, int(staff.USERS * who.random() ** 2))
    run.uses_pattern = who.random() < agent.uses_pattern

    lot, is_judged = fate.random(), fate.random() < staff.JUDGED
    if lot < staff.UNFINISHED:
        run.status = "running"
    elif lot < staff.UNFINISHED + staff.CANCELLED:
        run.status = "cancelled"
    else:
        chance = agent.chance.at(moment)
        if agent.pattern and run.uses_pattern:
            chance += agent.pattern.uplift
        is_success = fate.random() < chance
        if not is_success and fate.random() < staff.CRASHED:
            run.status = "failed"
        if is_judged:
            run.verdict = Verdict(is_success, chance)
    return run


def _second_deliveries(writes: list[Write], seed: int) -> list[Write]:
    """What its writer sends again, some time later, because the receipt got lost."""
    draw = stream(seed, "second deliveries")
    return [
        replace(write, arrives_at=write.arrives_at + timedelta(hours=72 * draw.random()))
        for write in writes
        if write.is_repeatable and draw.random() < staff.DELIVERED_TWICE
    ]


def _deletion_requests(system: str, seed: int, first_day: date, days: int) -> Iterator[Row]:
    """Two users of each system who ask to be deleted."""
    draw = stream(seed, system, "deletion requests")
    for number in draw.sample(range(staff.USERS), 2):
        if user := user_id(system, seed, number):
            asked_on = first_day + timedelta(days=draw.randrange(days))
            yield {"source_system": system, "user_id": user, "asked_on": asked_on}
