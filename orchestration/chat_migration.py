"""Moves messages of the chat system from their first table to their second, phase by phase.

The work is done by functions of schema `chat` (bootstrap_sql/690), each call in a short transaction: a
command that was killed is run again, and goes on.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from orchestration.database import PASSING, another, first_line, patiently
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date
    from uuid import UUID

    from psycopg.types.range import Range

    Argument = int | Decimal | bool | date | UUID | Range[int] | None

BLOCKS = 100
"""Blocks of the first table that are copied at once: as long an edit of one of their messages may wait."""
WORKERS = 2
BATCH = 2000
ATTEMPTS = 50
PATIENCE = 0.2

PHASES = {
    "idle": "not begun",
    "parallel": "1 of 3, parallel tables: both have what is written to one",
    "gradual": "2 of 3, gradual migration: reads move to chat_messages_v2",
    "done": "3 of 3, clean-up: chat_messages takes no more",
    "leaving": "on the way back: copies are being deleted",
}


@dataclass(frozen=True)
class State:
    """How far the migration is: the row of `ops.chat_migration`, and how the tables compare."""

    phase: str
    read_share: float
    next_block: int
    end_block: int
    is_backfilled: bool
    is_being_brought_back: bool
    validated_at: Any
    findings: dict[str, Any]

    @property
    def is_same(self) -> bool:
        """Whether the tables say the same, apart from what the second refuses."""
        return not any(self.findings.get(name, 1) for name in ("waiting", "different", "orphans"))

    @property
    def next_step(self) -> str:
        """What is to be done next, and what holds back the step after it."""
        command = "`agentbooks migrate-chat"
        if self.phase == "idle":
            return f"{command} start`"
        if self.phase == "leaving":
            return f"{command} rollback` again: copies are left"
        if self.is_being_brought_back:
            return f"{command} rollback` again: messages are still to be brought back"
        if not self.is_backfilled or not self.is_same:
            held = "" if self.phase == "done" else "; until then reads stay where they are"
            return f"{command} backfill`: {self._unequal()}{held}"
        if self.phase == "done":
            return "none; retention takes the rows of chat_messages by their age"
        if self.validated_at is None:
            return f"{command} validate`"
        if self.read_share < 1:
            return f"{command} switch SHARE`, with more than {self.read_share:g}"
        if self.findings["refused"]:
            return f"correct the refused messages, or {command} finish --leave-refused`"
        return f"{command} finish`"

    def _unequal(self) -> str:
        counts = [
            f"{self.findings[name]:,} {words}"
            for name, words in (
                ("waiting", "wait for their copy"),
                ("different", "say something else"),
                ("orphans", "copies have no message"),
            )
            if self.findings.get(name)
        ]
        return ", ".join(counts) or "it has not come to its end"

    def lines(self) -> Iterator[str]:
        """Tell all of it."""
        yield f"Phase: {PHASES[self.phase]}"
        if self.phase != "idle":
            yield f"Backfill: block {self.next_block:,} of {self.end_block:,}" + (
                ", done" if self.is_backfilled else ""
            )
        if self.findings:
            yield f"Messages in chat_messages: {self.findings['messages']:,}"
            yield f"  mapped to chat_messages_v2: {self.findings['copied']:,}"
            yield f"  waiting: {self.findings['waiting']:,}"
            yield f"  refused: {sum(self.findings['refused'].values()):,}"
            for reason, count in sorted(self.findings["refused"].items()):
                yield f"    {reason}: {count:,}"
            yield f"  different: {self.findings['different']:,}"
            yield f"  orphans: {self.findings['orphans']:,}"
            first, second = self.findings["checksums"]
            yield f"  checksums: {first or 0} and {second or 0}"
            yield (
                f"Validated: {self.validated_at:%Y-%m-%d %H:%M} UTC"
                if self.validated_at
                else "Validated: not yet"
            )
        yield f"Read from chat_messages_v2: {100 * self.read_share:g} % of the conversations"
        yield f"Next: {self.next_step}."


def status(connection: psycopg.Connection) -> State:
    """Tell where the migration stands, with the tables compared now."""
    with _told():
        row = connection.execute(
            "select phase, read_share::float8, next_block, end_block, is_backfilled,"
            " closed_change_id is not null and phase = 'gradual', validated_at at time zone 'UTC',"
            " case when phase in ('idle', 'leaving') then '{}' else chat.compare_generations() end"
            " from ops.chat_migration"
        ).fetchall()[0]
    return State(*row)


def start(connection: psycopg.Connection) -> None:
    """Begin: from now on what is written to one table is written to the other."""
    with _told():
        _call(connection, "start_migration")


def backfill(connection: psycopg.Connection, console: Console | None = None) -> int:
    """Copy what was there before, count the sessions; return how many messages were copied."""
    with _told():
        phase, *_ = _state(connection)
        if phase in ("idle", "leaving"):
            raise AgentbooksError(
                "migrate-chat backfill: nothing has begun; run `agentbooks migrate-chat start`."
            )
        for (month,) in connection.execute("select chat.missing_months()").fetchall():
            _call(connection, "make_month", month)
        if phase == "parallel":
            while _call(connection, "mend_messages", BATCH):
                pass
        with _progress("Messages", console) as advance:
            copied = _copy_blocks(connection, advance) + _copy_waiting(connection)
        after = None
        while after := _call(connection, "count_sessions", after):
            pass
    return copied


def _copy_blocks(connection: psycopg.Connection, advance: Callable[[int, int | None], None]) -> int:
    """Copy block by block in several sessions, as one keeps no more than one processor at work."""
    is_over = threading.Event()

    def copy() -> int:
        copied = 0
        with another(connection) as session:
            while not is_over.is_set() and (blocks := _call(session, "next_blocks", BLOCKS)):
                copied += _call(session, "copy_blocks", blocks)
                advance(*_state(session)[2:4])
        return copied

    with ThreadPoolExecutor(WORKERS, "agentbooks-chat") as pool:
        jobs = [pool.submit(copy) for _ in range(WORKERS)]
        try:
            return sum(job.result() for job in as_completed(jobs))
        finally:
            is_over.set()


def _copy_waiting(connection: psycopg.Connection) -> int:
    """Copy what was locked, what writers left, and the blocks of a session that died."""
    copied, patience = 0, ATTEMPTS
    while True:
        rows: int = _call(connection, "copy_waiting", BATCH)
        copied += rows
        if _state(connection)[4]:
            return copied
        # Who holds a message back is given time.
        patience = ATTEMPTS if rows else patience - 1
        if patience == 0:
            raise AgentbooksError(
                "migrate-chat backfill: some messages are locked for long; end the transactions "
                "that hold them and run it again."
            )
        if not rows:
            time.sleep(PATIENCE)


def validate(connection: psycopg.Connection) -> State:
    """Compare the tables and keep what was found, which allows reads to be switched."""
    with _told():
        _call(connection, "validate_migration")
    return status(connection)


def switch(connection: psycopg.Connection, share: float) -> State:
    """Compare the tables, and read this share of the conversations from the second."""
    with _told():
        if share:
            _call(connection, "validate_migration")
        _call(connection, "switch_reads", Decimal(str(share)))
    return status(connection)


def finish(connection: psycopg.Connection, leave_refused: bool = False) -> State:
    """Close the first table and copy what came last."""
    with _told():
        if _state(connection)[0] == "gradual":
            _call(connection, "validate_migration")
        _call(connection, "finish_migration", leave_refused)
    backfill(connection)
    found = validate(connection)
    if not found.is_same:
        raise AgentbooksError(
            f"migrate-chat finish: chat_messages is closed, but {found._unequal()}; run "
            "`agentbooks migrate-chat rollback`."
        )
    return found


def rollback(connection: psycopg.Connection, console: Console | None = None) -> State:
    """Go one phase back, or go on with it; nothing that was written since is lost."""
    with _told():
        phase, is_closed, *_ = _state(connection)
        if phase == "idle":
            raise AgentbooksError("migrate-chat rollback: nothing has begun; there is no way back.")
        if phase == "done":
            _call(connection, "reopen_first")
        elif phase == "gradual" and not is_closed:
            _call(connection, "switch_reads", Decimal(0))
        elif phase == "parallel":
            _call(connection, "leave_parallel")
        if phase == "done" or (phase == "gradual" and is_closed):
            _in_batches(connection, "bring_back", "Brought back", console)
        elif phase in ("parallel", "leaving"):
            _in_batches(connection, "drop_copies", "Copies deleted", console)
    return status(connection)


def _in_batches(
    connection: psycopg.Connection, function: str, what: str, console: Console | None
) -> None:
    done = 0
    with _progress(what, console) as advance:
        while rows := _call(connection, function, BATCH):
            done += rows
            advance(done, None)


def _call(connection: psycopg.Connection, function: str, *arguments: Argument) -> Any:
    """Call a function of schema chat; whoever is in the way is given time."""
    places = ", ".join(["%s"] * len(arguments))
    return patiently(
        lambda: connection.execute(
            f"select chat.{function}({places})".encode(), arguments or None
        ).fetchall()[0][0]
    )


def _state(connection: psycopg.Connection) -> tuple[str, bool, int, int, bool]:
    """Tell the phase, whether the first table is or was closed, and how far the backfill is."""
    return connection.execute(
        "select phase, closed_change_id is not null, next_block, end_block, is_backfilled"
        " from ops.chat_migration"
    ).fetchall()[0]


@contextmanager
def _progress(what: str, console: Console | None) -> Iterator[Callable[[int, int | None], None]]:
    with Progress(
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
        console=console or Console(stderr=True),
        disable=console is None,
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PASSING as error:
        raise AgentbooksError(
            "migrate-chat: chat_messages or chat_messages_v2 is in use; end the transactions that hold them, "
            "and run it again."
        ) from error
    except psycopg.Error as error:
        raise AgentbooksError(
            f"migrate-chat: {first_line(error)}; "
            "`agentbooks migrate-chat status` tells what is next."
        ) from error
