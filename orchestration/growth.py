"""Makes a table in one piece a partitioned one beside its writers, step by step: see 910_growth.sql.

Each step is a transaction, and the database knows which comes next: whoever stops this, and however, goes
on by starting it again.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import class_row

from orchestration import catalog
from orchestration.database import first_line, patiently
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCKS = 2_000  # read in one transaction
FEW = 200  # changed rows that may be left when it switches
PAUSE = 0.3  # seconds in which writers catch up
PATIENCE_OF_WRITERS = "450ms"

PLAN = """
select
    c.reltuples::bigint as rows,
    pg_total_relation_size(c.oid) as bytes,
    array(
        select a.attname::text
        from pg_index as i
        cross join unnest(i.indkey::int2[]) with ordinality as n (attnum, place)
        join pg_attribute as a on a.attrelid = c.oid and a.attnum = n.attnum
        where i.indrelid = c.oid and i.indisprimary
        order by n.place
    ) as key_now,
    ops.growth_key(c.oid, %(by)s) as key_then,
    array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = c.oid and k.contype = 'f' and k.confrelid = c.oid
    ) as own_keys
from pg_class as c
where c.oid = %(table)s::regclass
"""


@dataclass(frozen=True)
class Progress:
    """How far a relation is on its way."""

    relation_name: str
    state: str
    reached: int
    blocks: int
    rows_copied: int

    def sentence(self) -> str:
        """Tell it in one line."""
        if self.state == "copying":
            share = min(1.0, self.reached / max(self.blocks, 1))
            return f"{self.relation_name}: {self.rows_copied:,} rows copied, {share:.0%} read"
        return f"{self.relation_name}: {self.state}"


def plan(connection: psycopg.Connection, table: str, by: str | None = None) -> Iterator[str]:
    """Tell what would become of a table, and what stands in the way; nothing is touched."""
    with _told(table):
        by = _time(connection, table, by)
        rows, size, key_now, key_then, own_keys = connection.execute(
            PLAN, {"table": table, "by": by}
        ).fetchall()[0]
        obstacles = connection.execute(
            "select ops.growth_obstacles(%s::regclass, %s)", (table, by)
        ).fetchall()
    yield f"{table}: about {max(rows, 0):,} rows, {size / 1e6:,.0f} MB, as much again while both are kept."
    if by:
        yield f"By the UTC month of {by}, keyed by ({', '.join(key_then)})."
        if key_now != key_then:
            yield f"Rows are no longer unique by ({', '.join(key_now)}) alone: a data test must see to that."
    for name in own_keys:
        yield f"Key {name} leads to the table itself and goes: a data test must take its place."
    for (obstacle,) in obstacles:
        yield f"It cannot be: {obstacle}."


def partition(
    connection: psycopg.Connection,
    table: str,
    by: str | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Make a table partitioned by month, or go on with that; its old rows are kept until `finish`.

    Args:
        connection: In autocommit mode, as each step is a transaction of its own.
        table: The raw table, with its schema.
        by: Column of its time; without, the one by whose day the models count its rows.
        tell: Called after each step.

    Raises:
        AgentbooksError: It cannot be partitioned, or others were in the way for too long.
    """

    def switch() -> None:
        if all(step.state != "switched" for step in _progress(connection, table)):
            _catch_up(connection, table, tell)
            _briefly(connection, "select ops.switch_growth(%s)", (table,))

    with _told(table):
        _drop(connection, table)
        if not _progress(connection, table):
            by = _time(connection, table, by)
            patiently(lambda: _briefly(connection, "select ops.start_growth(%s, %s)", (table, by)))
        patiently(switch, PAUSE)


def finish(connection: psycopg.Connection, table: str) -> None:
    """Drop the old rows of a table that has become partitioned: there is no way back then.

    Raises:
        AgentbooksError: The table is not that far.
    """
    with _told(table):
        if _drop(connection, table) and _is_partitioned(connection, table):
            return
        _need(connection, table, switched=True)
        with connection.transaction():
            for step in _progress(connection, table):
                catalog.record_table(connection, step.relation_name)
        patiently(lambda: _briefly(connection, "select ops.finish_growth(%s)", (table,)))
        _drop(connection, table)


def undo(connection: psycopg.Connection, table: str) -> None:
    """Leave a table in one piece, or make it so again with all that was written since.

    Raises:
        AgentbooksError: It is not on its way, or months of it have been archived since.
    """

    def switch() -> None:
        if any(step.state == "switched" for step in _progress(connection, table)):
            _catch_up(connection, table, lambda progress: None)
        _briefly(connection, "select ops.undo_growth(%s)", (table,))

    with _told(table):
        if _drop(connection, table) and not _is_partitioned(connection, table):
            return
        _need(connection, table, switched=False)
        patiently(switch, PAUSE)
        _drop(connection, table)


def _catch_up(connection: psycopg.Connection, table: str, tell: Callable[[Progress], None]) -> None:
    left: int | None = None
    while left is None or left > FEW:
        left = patiently(
            lambda: connection.execute("select ops.grow(%s, %s)", (table, BLOCKS)).fetchall()[0][0]
        )
        for step in _progress(connection, table):
            if step.state != "ready":
                tell(step)
                break


def _briefly(connection: psycopg.Connection, call: str, parameters: tuple[Any, ...]) -> None:
    """Do what keeps writers waiting, or leave it for another time once it takes too long."""
    connection.execute(f"set statement_timeout = '{PATIENCE_OF_WRITERS}'".encode())
    try:
        connection.execute(call.encode(), parameters)
    except psycopg.errors.QueryCanceled as error:
        raise psycopg.errors.LockNotAvailable(
            f"writers would wait for more than {PATIENCE_OF_WRITERS}, as the machine is busy"
        ) from error
    finally:
        with suppress(psycopg.OperationalError):
            connection.execute("reset statement_timeout")


def _drop(connection: psycopg.Connection, table: str) -> bool:
    """Drop what is left over once nobody writes to it, as that takes longer than a writer should wait."""
    if all(step.state != "ended" for step in _progress(connection, table)):
        return False
    patiently(lambda: connection.execute("select ops.drop_growth(%s)", (table,)))
    return True


def _is_partitioned(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute(
        "select from pg_partitioned_table where partrelid = to_regclass(%s)", (table,)
    ).fetchone()
    return row is not None


def _progress(connection: psycopg.Connection, table: str) -> list[Progress]:
    with connection.cursor(row_factory=class_row(Progress)) as cursor:
        return cursor.execute(
            "select relation_name, state, reached, blocks, rows_copied"
            " from ops.growths where table_name = %s order by relation_name",
            (table,),
        ).fetchall()


def _need(connection: psycopg.Connection, table: str, *, switched: bool) -> None:
    steps = _progress(connection, table)
    if not steps:
        raise AgentbooksError(
            f"partition: {table} is not on its way; `agentbooks partition {table}` begins it."
        )
    if switched and any(step.state != "switched" for step in steps):
        raise AgentbooksError(
            f"partition: {table} is not partitioned yet; `agentbooks partition {table}` goes on with it."
        )


def _time(connection: psycopg.Connection, table: str, by: str | None) -> str | None:
    row = connection.execute(
        "select to_regclass(%s) is not null, ops.growth_time(to_regclass(%s))", (table, table)
    ).fetchall()[0]
    if not row[0]:
        raise AgentbooksError(f"partition: there is no table {table}; name it with its schema.")
    return by or row[1]


@contextmanager
def _told(table: str) -> Iterator[None]:
    """Tell in a sentence what the database refuses."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise AgentbooksError(
            "partition: the raw schemas are not up to date; run `agentbooks bootstrap` first."
        ) from error
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise AgentbooksError(f"partition: {error.diag.message_primary}.") from error
    except psycopg.Error as error:
        raise AgentbooksError(
            f"partition: {table}: {first_line(error)}; what is done stays, run it again to go on."
        ) from error
