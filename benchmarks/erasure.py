"""What it takes to forget 1,000 persons, and whether anything of them is left.

`python -m benchmarks.erasure` makes three months of rows of four systems in a database of the embedded
server, or of the one that AGENTBOOKS_DATABASE_URL names, builds the marts, archives a month in the database
and another in files, and erases. Every id, address, name and text of a person carries their number in one
of two shapes, by which a scan of its own finds all that is left of anybody in any table or file.
"""

# ruff: noqa: E501

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
from pyarrow import parquet

from orchestration import bootstrap, cold_archive, database, dbt, erasure
from orchestration.cold_archive import Archive

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE = "erasure_bench"
ROWS = 10_000_000
SUBJECTS = 1000
ROWS_OF_A_PERSON = 400
MONTHS = ("2026-01-01", "2026-02-01", "2026-03-01")
WARM, COLD = MONTHS[1], MONTHS[0]
PARTITIONED = (
    "observability.spans",
    "traceability.hook_executions",
    "chat.chat_messages_v2",
    "agentic.conversation_history",
    "agentic.agent_audit_log",
)
# A person's number, in texts and in uuids.
SHAPE = r"pn([0-9]{6})x|ab00([0-9]{6})00"

HELPERS = """
create schema bench;
create function bench.who(n bigint) returns uuid language sql immutable
return ('00000000-0000-4000-8000-ab00' || lpad(n::text, 6, '0') || '00')::uuid;
create function bench.word(n bigint) returns text language sql immutable
return 'pn' || lpad(n::text, 6, '0') || 'x';
create function bench.id(kind text, i bigint) returns uuid language sql immutable
return md5(kind || i)::uuid;
create function bench.moment(i bigint, total bigint) returns timestamptz language sql immutable
return timestamptz '2026-01-01 00:00+00' + interval '89 days' * (i::float8 / total);
"""
# $people, and units of 40 rows: a trace with 10 spans, an execution and what it delegates, which names nobody,
# with 4 hooks, a conversation with 10 messages, and a session with 10 messages and an audit row. Each is of
# one person, round and round.
STATEMENTS = (
    "insert into observability.profiles (id, email, name)"
    " select bench.who(n), bench.word(n) || '@example.net', 'Ada ' || bench.word(n) from generate_series(1, $people) n",
    "insert into chat.users (id, email, full_name)"
    " select bench.who(n), bench.word(n) || '@example.net', 'Ada ' || bench.word(n) from generate_series(1, $people) n",
    "insert into agentic.users (user_id, email, full_name)"
    " select bench.who(n), bench.word(n) || '@example.net', 'Ada ' || bench.word(n) from generate_series(1, $people) n",
    "insert into chat.agents (id, user_id, name, description)"
    " select bench.id('agent', n), bench.who(1), 'agent ' || n, '' from generate_series(1, 20) n",
    "insert into agentic.agents (agent_id, name, persona_type, capabilities)"
    " select bench.id('agent', n), 'agent ' || n, 'qa', '[]' from generate_series(1, 20) n",
    "insert into observability.traces (trace_id, workflow_id, execution_id, user_id, status, started_at, query, metadata)"
    " select bench.id('trace', i), 'w' || i % 20, 'e' || i, bench.who(i % $people + 1), 'completed',"
    " bench.moment(i, $units), 'what ' || bench.word(i % $people + 1) || ' asked',"
    " jsonb_build_object('domain', 'support', 'agent', jsonb_build_object('name', 'agent ' || i % 20))"
    " from generate_series(0, $units - 1) i",
    "insert into observability.spans"
    " (trace_id, span_id, user_id, span_type, name, status, started_at, duration_ms, inputs, outputs, tokens, cost, model)"
    " select bench.id('trace', i), bench.id('span', i * 10 + k), bench.who(i % $people + 1), 'llm', 'answer',"
    " 'completed', bench.moment(i, $units), 100, jsonb_build_object('text', 'from ' || bench.word(i % $people + 1)),"
    " jsonb_build_object('text', repeat('answer ', 30)), '{\"input_tokens\": 100, \"output_tokens\": 10}',"
    " 0.001 * k, 'gpt-4.1' from generate_series(0, $units - 1) i cross join generate_series(0, 9) k",
    "insert into traceability.execution_traces"
    " (id, correlation_id, root_id, session_id, user_id, source, status, started_at, prompt_text)"
    " select bench.id('execution', i), bench.id('link', i), bench.id('link', i), bench.id('session', i),"
    " 'user-' || bench.word(i % $people + 1), 'user_prompt', 'completed', bench.moment(i, $units),"
    " bench.word(i % $people + 1) || ' wants' from generate_series(0, $units - 1) i",
    "insert into traceability.execution_traces"
    " (id, correlation_id, root_id, parent_id, session_id, source, status, started_at, context)"
    " select bench.id('delegation', i), bench.id('delegated', i), bench.id('link', i), bench.id('link', i),"
    " bench.id('session', i), 'agent_delegation', 'completed', bench.moment(i, $units),"
    " jsonb_build_object('of', bench.word(i % $people + 1)) from generate_series(0, $units - 1) i",
    "insert into traceability.hook_executions"
    " (trace_id, id, hook_type, hook_name, execution_order, status, started_at, input_data)"
    " select bench.id(case k when 3 then 'delegation' else 'execution' end, i), bench.id('hook', i * 4 + k),"
    " 'PreToolUse', 'quality', k + 1, 'completed',"
    " bench.moment(i, $units), jsonb_build_object('of', bench.word(i % $people + 1))"
    " from generate_series(0, $units - 1) i cross join generate_series(0, 3) k",
    "insert into chat.conversation_sessions (id, conversation_id, user_id, agent_id, started_at)"
    " select bench.id('chat', i), bench.id('chat', i), bench.who(i % $people + 1), bench.id('agent', i % 20 + 1),"
    " bench.moment(i, $units) from generate_series(0, $units - 1) i",
    "insert into chat.chat_messages_v2"
    " (id, conversation_id, session_id, sender_user_id, sender_agent_id, role, content, metadata, created_at)"
    " select bench.id('message', i * 10 + k), bench.id('chat', i), bench.id('chat', i),"
    " case when k % 2 = 0 then bench.who(i % $people + 1) end,"
    " case when k % 2 = 1 then bench.id('agent', i % 20 + 1) end,"
    " case k % 2 when 0 then 'user' else 'assistant' end,"
    " jsonb_build_object('type', 'text', 'text', 'dear ' || bench.word(i % $people + 1)),"
    ' \'{"model": "gpt-4.1", "tokens": {"prompt": 100, "completion": 10}}\', bench.moment(i, $units)'
    " from generate_series(0, $units - 1) i cross join generate_series(0, 9) k",
    "insert into chat.agent_memories (id, agent_id, memory_type, content, source_message_id, created_at)"
    " select bench.id('memory', i), bench.id('agent', i % 20 + 1), 'semantic',"
    " jsonb_build_object('concept', 'person', 'definition', bench.word(i % $people + 1)), bench.id('message', i * 10),"
    " bench.moment(i, $units) from generate_series(0, $units - 1, 10) i",
    "insert into agentic.agent_sessions (session_id, agent_id, user_id, context, started_at)"
    " select bench.id('work', i), bench.id('agent', i % 20 + 1), bench.who(i % $people + 1),"
    ' \'{"domain": "support"}\', bench.moment(i, $units) from generate_series(0, $units - 1) i',
    "insert into agentic.conversation_history (message_id, session_id, role, content, created_at)"
    " select bench.id('said', i * 10 + k), bench.id('work', i), 'user', 'says ' || bench.word(i % $people + 1),"
    " bench.moment(i, $units) from generate_series(0, $units - 1) i cross join generate_series(0, 9) k",
    "insert into agentic.agent_audit_log"
    " (audit_id, agent_id, session_id, action_type, action_details, user_id, user_agent, timestamp)"
    " select bench.id('audit', i), bench.id('agent', i % 20 + 1), bench.id('work', i), 'review',"
    " jsonb_build_object('status', 'done', 'for', bench.word(i % $people + 1)), bench.who(i % $people + 1),"
    " bench.word(i % $people + 1), bench.moment(i, $units) from generate_series(0, $units - 1) i",
)
TABLES = """
select oid::regclass::text
from pg_class
where relkind = 'r' and relpersistence <> 't'
    and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast')
"""
# By the day, tenant and all that is no person, whom the costs are of.
SUMS = """
select array_agg(r::text order by r::text)
from (
    select
        usage_date, source_system, tenant_key, workflow, domain, agent_key, model, payer,
        sum(runs), sum(llm_calls), trim_scale(sum(cost_usd))
    from marts.cost_daily
    group by usage_date, source_system, tenant_key, workflow, domain, agent_key, model, payer
) as r
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    arguments = parser.parse_args()
    with (
        _database(database.database_url()) as connection,
        tempfile.TemporaryDirectory() as folder,
    ):
        _measure(connection, Archive(folder), arguments.rows, arguments.subjects)


@contextmanager
def _database(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"drop database if exists {DATABASE} with (force)".encode())
        admin.execute(f"create database {DATABASE} template template0".encode())
        url = re.sub(r"/[^/]*$", f"/{DATABASE}", dsn)
        os.environ[database.URL_VARIABLE] = url
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                bootstrap.bootstrap(connection)
                yield connection
        finally:
            admin.execute(f"drop database if exists {DATABASE} with (force)".encode())


def _measure(connection: psycopg.Connection, archive: Archive, rows: int, subjects: int) -> None:
    people = max(rows // ROWS_OF_A_PERSON, 2 * subjects)
    with _timed("rows made"):
        connection.execute(HELPERS)
        for table in PARTITIONED:
            connection.execute(
                "select ops.create_month_partitions(%s, %s, %s)", (table, MONTHS[0], MONTHS[-1])
            )
        for statement in STATEMENTS:
            connection.execute(
                statement.replace("$people", str(people))
                .replace("$units", str(rows // 40))
                .encode()
            )
        connection.execute("vacuum analyze")
    with _timed("marts built"):
        dbt.build(["*", "--resource-type", "seed", "--resource-type", "model"])
    with _timed("a month archived, another as files"):
        for table in PARTITIONED:
            cold_archive.remove_month(connection, archive, table, date.fromisoformat(COLD))
            if table != "agentic.agent_audit_log":
                connection.execute("select ops.archive_month(%s, %s)", (table, WARM))
    before = connection.execute(SUMS).fetchone()
    chosen = range(2, 2 + subjects)
    numbers = {f"{n:06}" for n in chosen}
    found = sum(_found(connection, archive, numbers).values())
    print(f"{found:,} places name one of {subjects:,} persons of {people:,}", flush=True)

    ids = [str(value) for n in chosen for value in (_uuid(n), f"user-pn{n:06}x")]
    with _timed(f"{subjects:,} persons erased from raw rows, archive and files"):
        number = erasure.erase(connection, archive, ids)
    with _timed("marts refreshed"):
        dbt.build(["agent_runs+", "--resource-type", "model"])
    is_done = number is not None and erasure.finish(connection, number)

    left = _found(connection, archive, numbers)
    broken = connection.execute("select count(*) from agentic.audit_first_broken_link()").fetchone()
    floor = connection.execute(
        "select min(c.people) from (select cardinality(e.subject_hashes) as people from ops.erasures as e) as c"
    ).fetchone()
    changed = connection.execute("select sum(rows) from ops.erasure_steps").fetchone()
    same = connection.execute(SUMS).fetchone() == before
    print(f"rows deleted, blanked or pooled: {changed and changed[0]:,}")
    print(f"left: {left or 'nothing'} (bar: nothing); done: {is_done}")
    print(
        f"broken chains: {broken and broken[0]} (bar 0); costs by all but the person unchanged: {same}"
    )
    print(f"ids behind `erased`: {floor and floor[0]:,} (bar {erasure.FLOOR})")


def _uuid(n: int) -> str:
    return f"00000000-0000-4000-8000-ab00{n:06}00"


def _found(connection: psycopg.Connection, archive: Archive, numbers: set[str]) -> dict[str, int]:
    """Count in every table and file what carries the number of one of these persons."""
    found: dict[str, int] = {}
    for (table,) in connection.execute(TABLES).fetchall():
        row = connection.execute(
            f"select count(*) from {table} as t cross join regexp_matches(t::text, %s, 'g') as m (groups)"  # type: ignore[arg-type]
            " where coalesce(m.groups[1], m.groups[2]) = any(%s)",
            (SHAPE, sorted(numbers)),
        ).fetchone()
        if row and row[0]:
            found[table] = row[0]
    for path in Path(archive.url).rglob("*"):
        if path.is_file():
            count = 0
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(10_000):
                    text = "\n".join(
                        value or ""
                        for column in batch.columns
                        for value in column.cast(pa.string()).to_pylist()
                    )
                    count += sum(
                        (match[1] or match[2]) in numbers for match in re.finditer(SHAPE, text)
                    )
            if count:
                found[path.name] = found.get(path.name, 0) + count
    return found


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - started:,.1f} s", flush=True)


if __name__ == "__main__":
    main()
