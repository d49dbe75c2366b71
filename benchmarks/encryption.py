"""How fast a column is encrypted and goes to another key beside writers, and what they notice.

`python -m benchmarks.encryption` makes decisions of two months in a database of the embedded server, or of
the one that AGENTBOOKS_DATABASE_URL names, archives one, and encrypts their rationale while eight writers
insert decisions and judge those that are there.
"""

from __future__ import annotations

import argparse
import base64
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.beside import lock_waits, p99, writers
from benchmarks.writes import _fresh_database
from orchestration import database, encryption, protection
from orchestration.cold_archive import Archive

if TYPE_CHECKING:
    from random import Random

    import psycopg

ROWS = 200_000
PAUSE = 0.02
LISTENING = 10.0
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
        with writers(url, partial(_write, rows), PAUSE) as quiet:
            time.sleep(LISTENING)
        print(f"writers alone: p99 {p99(quiet):.1f} ms, longest {max(quiet):.1f} ms")
        for what, key_ids in {
            "encrypted": "a",
            "to another key": "ba",
            "nothing to do": "ba",
        }.items():
            _measure(connection, url, rows, what, key_ids)


def _measure(connection: psycopg.Connection, url: str, rows: int, what: str, key_ids: str) -> None:
    keys = [f"{k}:{base64.b64encode(k.encode() * 32).decode()}" for k in key_ids]
    os.environ[encryption.KEYS_VARIABLE] = ",".join(keys)
    with writers(url, partial(_write, rows), PAUSE) as took, lock_waits(url) as waits:
        started = time.perf_counter()
        report = protection.encrypt(connection, Archive.chosen())
        seconds = time.perf_counter() - started
    done = sum(tally.rewritten for tally in report.tallies.values())
    print(
        f"{what}: {done:,} rewritten of {rows:,} in {seconds:.1f} s: {max(done, rows) / seconds:,.0f} rows/s "
        f"(bar {BAR:,}) beside {len(took):,} writes; p99 {p99(took):.1f} ms, longest {max(took):.0f} ms; "
        f"longest wait for a lock {max(waits):.0f} ms (bar 500)",
        flush=True,
    )


def _write(rows: int, session: psycopg.Connection, number: int, draw: Random) -> None:
    """Insert a decision, or judge one of those that are not archived."""
    if draw.randrange(2):
        session.execute(JUDGE.encode(), (f"d{draw.randrange(rows // 2, rows)}",))
    else:
        session.execute(DECIDE.encode())


if __name__ == "__main__":
    main()
