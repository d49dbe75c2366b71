"""What taking over large tables costs, and what their writers notice of it.

`python -m benchmarks.adopt` makes the tables of the original definitions in schemas of other names, in a
database of the embedded server or of the one that AGENTBOOKS_DATABASE_URL names, a million rows in the
largest of each system (`--rows`). They are taken over beside eight writers, the marts are built
(`--marts`), and the tables are given back and compared with what they were.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.beside import WRITERS, lock_waits, writers
from orchestration import adopt, database, dbt, schemas

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import originals

if TYPE_CHECKING:
    from random import Random

ROWS = 1_000_000
PAUSE = 0.01
DATABASE = "agentbooks_bench_adopt"
APPLICATION = "bench_application"
NAMED = {system: f"legacy_{system}" for system in schemas.SYSTEMS}

FILL = """
insert into legacy_raaf.raaf_tracing_traces (
    trace_id, workflow_name, status, started_at, ended_at, created_at, updated_at
)
select 'trace_' || i, 'Refund', 'completed', t, t + interval '9 s', t, t
from generate_series(1, {rows} / 10) as i
cross join lateral (select timestamp '2025-01-01' + i % 400 * interval '1 day' as t) as s;
insert into legacy_raaf.raaf_tracing_spans (
    span_id, trace_id, name, kind, start_time, end_time, duration_ms, span_attributes, created_at,
    updated_at, agent_name
)
select
    trace_id || '_' || n, trace_id, 'step', case n when 0 then 'agent' else 'llm' end,
    started_at + n * interval '1 s', ended_at, 100 * n,
    '{{"llm": {{"model": "gpt-4o", "usage": {{"input_tokens": 9, "output_tokens": 3}}}}}}',
    created_at, updated_at, case n when 0 then 'Support' end
from legacy_raaf.raaf_tracing_traces cross join generate_series(0, 9) as n;

insert into legacy_observability.traces (workflow_id, execution_id, started_at, completed_at, status)
select 'w' || i % 50, i, t, t + interval '9 s', 'completed'
from generate_series(1, {rows} / 10) as i
cross join lateral (select timestamp '2025-01-01' + i % 400 * interval '1 day' as t) as s;
insert into legacy_observability.spans (
    trace_id, span_type, name, status, started_at, completed_at, duration_ms, tokens, cost, model
)
select
    trace_id, 'llm', 'step', 'completed', started_at, completed_at, 100,
    '{{"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}}', 0.001, 'gpt-4o'
from legacy_observability.traces cross join generate_series(0, 9);

insert into legacy_traceability.execution_traces (
    correlation_id, root_id, session_id, source, started_at, completed_at, status, success
)
select u, u, u, 'user_prompt', t, t + interval '9 s', 'completed', true
from (
    select gen_random_uuid() as u, timestamptz '2025-01-01 00:00+00' + i % 400 * interval '1 day' as t
    from generate_series(1, {rows} / 10) as i
) as s;
insert into legacy_traceability.hook_executions (
    trace_id, hook_type, hook_name, execution_order, started_at, completed_at, duration_ms, status
)
select id, 'PreToolUse', 'check', n, started_at, completed_at, 20, 'completed'
from legacy_traceability.execution_traces cross join generate_series(1, 10) as n;

insert into legacy_chat.users (id) select md5(i::text)::uuid from generate_series(1, 100) as i;
insert into legacy_chat.conversation_sessions (
    conversation_id, user_id, started_at, last_active, ended_at, status
)
select gen_random_uuid(), md5((1 + i % 100)::text)::uuid, t, t, t + interval '1 h', 'completed'
from generate_series(1, {rows} / 10) as i
cross join lateral (select timestamptz '2025-01-01 00:00+00' + i % 400 * interval '1 day' as t) as s;
insert into legacy_chat.chat_messages_v2 (
    conversation_id, session_id, sender_user_id, role, content, created_at, updated_at
)
select
    conversation_id, id, user_id, 'user', '{{"type": "text", "text": "Where is it?"}}',
    started_at + n * interval '1 s', started_at
from legacy_chat.conversation_sessions cross join generate_series(1, 10) as n;

insert into legacy_agentic.agents (name, persona_type, capabilities)
select 'a' || i, 'developer', '[]' from generate_series(1, 10) as i;
insert into legacy_agentic.agent_sessions (agent_id, started_at, ended_at, session_state)
select a.agent_id, t, t + interval '1 h', 'completed'
from legacy_agentic.agents as a
cross join generate_series(1, {rows} / 100) as i
cross join lateral (select timestamptz '2025-01-01 00:00+00' + i % 400 * interval '1 day' as t) as s;
insert into legacy_agentic.agent_decisions (
    session_id, decision_type, input_context, action_taken, confidence_score, user_feedback, created_at
)
select session_id, 'review', '{{}}', '{{}}', 0.9, 'approved', started_at
from legacy_agentic.agent_sessions cross join generate_series(1, 10);
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--marts", action="store_true")
    arguments = parser.parse_args()
    url = make_conninfo(database.database_url(), dbname=DATABASE)
    with psycopg.connect(database.database_url(), autocommit=True) as admin:
        admin.execute(f"drop database if exists {DATABASE} with (force)".encode())
        admin.execute(f"create database {DATABASE} template template0".encode())
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                _make(connection, arguments.rows)
                _measure(connection, url, has_marts=arguments.marts)
        finally:
            admin.execute(f"drop database if exists {DATABASE} with (force)".encode())


def _make(connection: psycopg.Connection, rows: int) -> None:
    connection.execute("create extension if not exists vector")
    if connection.execute("select to_regrole(%s)", (APPLICATION,)).fetchone() == (None,):
        connection.execute(f"create role {APPLICATION}".encode())
    for system in schemas.SYSTEMS:
        connection.execute(f"create schema {NAMED[system]} authorization {APPLICATION}".encode())
        connection.execute(f"set role {APPLICATION}".encode())
        connection.execute(f"set search_path = {NAMED[system]}, public".encode())
        connection.execute(originals.tables(system, has_vector=True).encode())
        connection.execute("reset role")
    connection.execute("reset search_path")
    connection.execute("set timezone = 'UTC'")
    connection.execute(FILL.format(rows=rows).encode())
    connection.execute("vacuum analyze")


def _measure(connection: psycopg.Connection, url: str, *, has_marts: bool) -> None:
    as_application = make_conninfo(url, options=f"-c role={APPLICATION}")
    before = _contents(connection)
    tables = before.keys()
    files = {table: _file(connection, table) for table in tables}
    rows = sum(part["rows"][0] for part in before.values())
    started = time.perf_counter()
    adopt.adopt(connection, NAMED, is_confirmed=False, tell=lambda line: None)
    print(f"{rows:,} rows; the report took {time.perf_counter() - started:.1f} s")
    with writers(as_application, _write, PAUSE) as alone:
        time.sleep(10)
    started = time.perf_counter()
    with writers(as_application, _write, PAUSE) as beside, lock_waits(url) as waits:
        adopt.adopt(connection, NAMED, is_confirmed=True, tell=lambda line: None)
    took = time.perf_counter() - started
    rewritten = [table for table in tables if _file(connection, table) != files[table]]
    print(
        f"taken over beside {WRITERS} writers in {took:.1f} s, {rows / took:,.0f} rows/s (bar 20,000); "
        f"written anew: {', '.join(rewritten) or 'none'}; a writer's longest transaction "
        f"{max(beside):.0f} ms, alone {max(alone):.0f} ms; waiting for a lock {max(waits):.0f} ms (bar 500)"
    )
    if has_marts:
        info = connection.info
        url = f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{DATABASE}"
        os.environ[database.URL_VARIABLE] = url
        started = time.perf_counter()
        print(f"marts: {dbt.build()} in {time.perf_counter() - started:.0f} s")
        # They stand on what a revert drops.
        connection.execute("drop schema seeds, staging, intermediate, marts cascade")
    started = time.perf_counter()
    with writers(as_application, _write, PAUSE) as beside:
        adopt.revert(connection, "all")
    print(
        f"given back beside writers in {time.perf_counter() - started:.1f} s; "
        f"longest transaction {max(beside):.0f} ms"
    )
    connection.execute("set lock_timeout = 0")
    # What writers have added since.
    connection.execute("delete from legacy_raaf.raaf_tracing_traces where workflow_name = 'bench'")
    after = _contents(connection)
    for table in tables:
        after[table]["columns"] = dict(after[table]["columns"])
    changed = [table for table in tables if before[table] != after[table]]
    print(f"as it was: {'yes' if not changed else ', '.join(changed)}")


def _contents(connection: psycopg.Connection) -> dict[str, Any]:
    found: dict[str, Any] = adopt.shapes(connection, list(NAMED.values()))
    connection.execute("set timezone = 'UTC'")
    for table in found:
        query = f"select count(*), sum(hashtextextended(t::text, 0)) from {table} as t"
        found[table]["rows"] = connection.execute(query.encode()).fetchone()
    return found


def _file(connection: psycopg.Connection, table: str) -> Any:
    return connection.execute("select pg_relation_filenode(%s)", (table,)).fetchone()


def _write(session: psycopg.Connection, number: int, draw: Random) -> None:
    """Write a trace with a span."""
    with session.transaction():
        row = session.execute(
            "insert into legacy_raaf.raaf_tracing_traces"
            " (trace_id, workflow_name, created_at, updated_at)"
            " values (gen_random_uuid(), 'bench', now(), now()) returning trace_id"
        ).fetchone()
        session.execute(
            "insert into legacy_raaf.raaf_tracing_spans"
            " (span_id, trace_id, name, start_time, created_at, updated_at)"
            " values (gen_random_uuid(), %s, 's', now(), now(), now())",
            row,
        )


if __name__ == "__main__":
    main()
