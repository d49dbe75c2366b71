"""How fast a column is encrypted and goes to another key beside writers, and what they notice.

`python -m benchmarks.encryption` makes decisions of two months in a database of the embedded server, or of
the one that AGENTBOOKS_DATABASE_URL names, archives one, and encrypts their rationale while eight writers
insert decisions and judge those that are there. A writer gives up a lock after 500 ms.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import statistics
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from benchmarks.writes import _fresh_database
from orchestration import database, encryption, protection
from orchestration.cold_archive import Archive

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 200_000
WRITERS = 8
PAUSE = 0.02
LISTENING = 10.0
LONGEST_WAIT_MS = 500
BAR = 20_000

DECISIONS = """
insert into agentic.agent_decisions
    (session_id, decision_id, decision_type, input_context, decision_rationale, action_taken, created_at)
select
    (select session_id from agentic.agent_sessions limit 1), md5('d' || i)::uuid, 'review',
    jsonb_build_object('file', 'src/f' || i %% 1000 || '.py', 'lines', i %% 500),
    'The change of ' || i || ' is small, tested, and like ' || repeat('what was approved before; ', 6),
    '{"merged": true}', '2026-01-01 00:00+00'::timestamptz + interval '58 days' * i / %(rows)s
from generate_series(0, %(rows)s - 1) as i
"""
JUDGE = "update agentic.agent_decisions set user_feedback = 'approved' where decision_id = md5(%s)::uuid"
DECIDE = """
insert into agentic.agent_decisions
    (session_id, decision_type, input_context, decision_rationale, action_taken, created_at)
select session_id, 'review', '{}', 'as before', '{}', '2026-02-10 00:00+00'
from agentic.agent_sessions limit 1
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="Decisions; half of them archived.")
    rows = parser.parse_args().rows
    with _fresh_database(database.database_url()) as connection:
        connection.execute(
            "select ops.create_month_partitions('agentic.agent_decisions', '2026-01-01', '2026-02-01')"
        )
        connection.execute(DECISIONS.encode(), {"rows": rows})
        connection.execute("select ops.archive_month('agentic.agent_decisions', '2026-01-01')")
        connection.execute("vacuum analyze")
        url = f"{connection.info.dsn} password='{connection.info.password}'"
        with _writers(url, rows) as quiet:
            time.sleep(LISTENING)
        print(f"writers alone: p99 {_p99(quiet.took):.1f} ms, longest {max(quiet.took):.1f} ms")
        for what, key_ids in {
            "encrypted": "a",
            "to another key": "ba",
            "nothing to do": "ba",
        }.items():
            _measure(connection, url, rows, what, key_ids)


def _measure(connection: psycopg.Connection, url: str, rows: int, what: str, key_ids: str) -> None:
    keys = [f"{k}:{base64.b64encode(k.encode() * 32).decode()}" for k in key_ids]
    os.environ[encryption.KEYS_VARIABLE] = ",".join(keys)
    with _writers(url, rows) as heard:
        started = time.perf_counter()
        report = protection.encrypt(connection, Archive.chosen())
        seconds = time.perf_counter() - started
    done = sum(tally.rewritten for tally in report.tallies.values())
    print(
        f"{what}: {done:,} rewritten of {rows:,} in {seconds:.1f} s: {max(done, rows) / seconds:,.0f} rows/s "
        f"(bar {BAR:,}) beside {len(heard.took):,} writes; p99 {_p99(heard.took):.1f} ms, longest "
        f"{max(heard.took):.0f} ms, waits over {LONGEST_WAIT_MS} ms for a lock: {heard.given_up} (bar 0)",
        flush=True,
    )


class _Heard:
    """How long writes took in ms, and how many waited too long for a lock."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.given_up = 0


@contextmanager
def _writers(url: str, rows: int) -> Iterator[_Heard]:
    heard = _Heard()
    is_over = threading.Event()

    def write(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        options = f"-c lock_timeout={LONGEST_WAIT_MS}"
        with psycopg.connect(url, autocommit=True, options=options) as session:
            while not is_over.wait(PAUSE):
                started = time.perf_counter()
                try:
                    if dice.randrange(2):
                        session.execute(JUDGE.encode(), (f"d{dice.randrange(rows // 2, rows)}",))
                    else:
                        session.execute(DECIDE.encode())
                except psycopg.errors.LockNotAvailable:
                    heard.given_up += 1
                heard.took.append(1000 * (time.perf_counter() - started))

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


if __name__ == "__main__":
    main()
