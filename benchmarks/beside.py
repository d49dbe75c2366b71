"""Writers at work beside what is measured, and what they notice of it."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITERS = 8
WAITS = """
select 1000 * coalesce(extract(epoch from max(clock_timestamp() - l.waitstart)), 0)::float8
from pg_locks as l
join pg_stat_activity as a using (pid)
where not l.granted and a.application_name = 'writer'
"""
LOCKED = """
select exists (
    select from pg_locks
    where relation = %s::regclass and mode = 'AccessExclusiveLock' and granted
)
"""


@contextmanager
def writers(
    url: str,
    write: Callable[[psycopg.Connection, int, Random], None],
    pause: float,
    count: int = WRITERS,
) -> Iterator[list[float]]:
    """Write from several sessions, and list how long each write took in ms.

    Args:
        url: The database.
        write: Writes once; told the writer's number and chance.
        pause: Seconds between two writes of one writer.
        count: How many writers there are.
    """
    took: list[float] = []

    def work(number: int, is_over: threading.Event) -> None:
        draw = Random(number)  # noqa: S311
        with psycopg.connect(url, autocommit=True, application_name="writer") as session:
            while not is_over.wait(pause):
                started = time.perf_counter()
                write(session, number, draw)
                took.append(1000 * (time.perf_counter() - started))

    with _at_once(work, count):
        yield took


@contextmanager
def lock_waits(url: str) -> Iterator[list[float]]:
    """List every few milliseconds for how many a writer has waited for a lock, as the server has it."""
    waits = [0.0]

    def listen(_: int, is_over: threading.Event) -> None:
        with psycopg.connect(url, autocommit=True) as session:
            while not is_over.wait(0.01):
                waits.extend(*session.execute(WAITS).fetchall())

    with _at_once(listen, 1):
        yield waits


@contextmanager
def locked(url: str, table: str) -> Iterator[list[float]]:
    """List for how many ms at a time nobody may read or write a table, to a few of them."""
    times = [0.0]

    def listen(_: int, is_over: threading.Event) -> None:
        began = None
        with psycopg.connect(url, autocommit=True) as session:
            while not is_over.wait(0.002):
                row = session.execute(LOCKED, (table,)).fetchone()
                began = (began or time.perf_counter()) if row == (True,) else None
                if began:
                    times.append(1000 * (time.perf_counter() - began))

    with _at_once(listen, 1):
        yield times


def p99(took: list[float]) -> float:
    """Return what one in a hundred takes longer than."""
    return statistics.quantiles(took, n=100)[98]


@contextmanager
def _at_once(work: Callable[[int, threading.Event], None], count: int) -> Iterator[None]:
    is_over = threading.Event()
    with ThreadPoolExecutor(count) as pool:
        jobs = [pool.submit(work, number, is_over) for number in range(count)]
        try:
            yield
        finally:
            is_over.set()
    for job in jobs:
        job.result()
