"""What integrity costs a writer: inserts of single rows, each a transaction, and COPY.

Each table is measured against two of the same columns, defaults and partitions that have no checks,
keys or triggers: one is bare, the other has the table's indexes but for those of keys. All stand in
one database of the embedded server, which waits for the disk at each commit. Rows are written by the
application's role, over TCP, by prepared statements. The three take turns; the ratios are medians.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from orchestration import bootstrap, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INSERT_ROUNDS = 101
INSERTED_ROWS = 10
COPY_ROUNDS = 21
COPIED_ROWS = 4000
INSERT_BAR = 1.5
COPY_BAR = 2.0
DATABASE = "agentbooks_bench_writes"
PARENTS = 200

Row = dict[str, str | None]
Rounds = dict[str, list[float]]  # seconds by schema


@dataclass(frozen=True)
class Table:
    """A table, and a maker of rows as its application sends them."""

    schema: str
    name: str
    make: Callable[[random.Random], Row]
    has_bar: bool = True


def main() -> None:
    """Measure and print."""
    running = server.up()
    with _fresh_database(running.dsn) as connection:
        for setting in ("server_version", "fsync", "synchronous_commit"):
            print(f"{setting}: {_setting(connection, setting)}")
        print(
            "\nµs a row, and that over the same row in a table without checks, keys and triggers:"
            f"\nbare, and indexed alike. The bars are for indexed: {INSERT_BAR} and {COPY_BAR}.\n"
            f"\n{'':34}{'insert':>8}{'bare':>7}{'indexed':>9}{'COPY':>8}{'bare':>7}{'indexed':>9}"
            "  bars met"
        )
        for table in TABLES:
            _make_bare(connection, table, "bare")
            _make_bare(connection, table, "indexed")
            _index_alike(connection, table)
            copies = _rounds(connection, table, COPY_ROUNDS, COPIED_ROWS, _copy)
            inserts = _rounds(connection, table, INSERT_ROUNDS, INSERTED_ROWS, _insert)
            print(_line(table, inserts, copies), flush=True)


def _line(table: Table, inserts: Rounds, copies: Rounds) -> str:
    insert, insert_indexed = _ratio(table, inserts, "bare"), _ratio(table, inserts, "indexed")
    copy, copy_indexed = _ratio(table, copies, "bare"), _ratio(table, copies, "indexed")
    met = [insert_indexed <= INSERT_BAR, copy_indexed <= COPY_BAR]
    verdict = ", ".join("yes" if bar else "no" for bar in met) if table.has_bar else "has none"
    return (
        f"{table.schema + '.' + table.name:34}"
        f"{_microseconds(table, inserts, INSERTED_ROWS):8.0f}{insert:7.2f}{insert_indexed:9.2f}"
        f"{_microseconds(table, copies, COPIED_ROWS):8.0f}{copy:7.2f}{copy_indexed:9.2f}  {verdict}"
    )


def _ratio(table: Table, rounds: Rounds, baseline: str) -> float:
    pairs = zip(rounds[table.schema], rounds[baseline], strict=True)
    return statistics.median(real / bare for real, bare in pairs)


def _microseconds(table: Table, rounds: Rounds, rows: int) -> float:
    return statistics.median(rounds[table.schema]) / rows * 1e6


@contextmanager
def _fresh_database(dsn: str, name: str = DATABASE) -> Iterator[psycopg.Connection]:
    """Make a database with the raw schemas and the rows that all others hang on."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"drop database if exists {name} with (force)".encode())
        admin.execute(f"create database {name} template template0".encode())
        try:
            url = dsn.rsplit("/", 1)[0] + f"/{name}"
            with psycopg.connect(url, autocommit=True) as connection:
                bootstrap.bootstrap(connection)
                connection.execute(PARENT_ROWS)
                yield connection
        finally:
            admin.execute(f"drop database if exists {name} with (force)".encode())


def _setting(connection: psycopg.Connection, name: str) -> object:
    row = connection.execute("select current_setting(%s)", (name,)).fetchone()
    return row and row[0]


def _make_bare(connection: psycopg.Connection, table: Table, schema: str) -> None:
    """Make the same table in another schema, without constraints, indexes and triggers."""
    source, target = f"{table.schema}.{table.name}", f"{schema}.{table.name}"
    like = f"create table {target} (like {source} including defaults including generated)"
    key = connection.execute("select pg_get_partkeydef(%s::regclass)", (source,)).fetchone()
    partitions = connection.execute(
        "select c.relname, pg_get_expr(c.relpartbound, c.oid)"
        " from pg_inherits as i join pg_class as c on c.oid = i.inhrelid"
        " where i.inhparent = %s::regclass",
        (source,),
    ).fetchall()
    connection.execute(f"{like} {f'partition by {key[0]}' if key and key[0] else ''}".encode())
    # What a trigger fills in the real table stays empty here.
    for (column,) in connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and attnotnull",
        (target,),
    ).fetchall():
        connection.execute(f'alter table {target} alter "{column}" drop not null'.encode())
    for partition, bound in partitions:
        connection.execute(
            f"create table {schema}.{partition} partition of {target} {bound}".encode()
        )
    connection.execute(f"grant insert on {target} to service_role".encode())


def _index_alike(connection: psycopg.Connection, table: Table) -> None:
    definitions = connection.execute(
        "select pg_get_indexdef(indexrelid) from pg_index"
        " where indrelid = %s::regclass and not indisunique",
        (f"{table.schema}.{table.name}",),
    ).fetchall()
    for (definition,) in definitions:
        target = f"INDEX ON indexed.{table.name} USING"
        connection.execute(re.sub(r"INDEX .+? USING", target, definition, count=1).encode())


def _rounds(
    connection: psycopg.Connection,
    table: Table,
    rounds: int,
    rows: int,
    write: Callable[[psycopg.Connection, str, str, list[Row]], float],
) -> Rounds:
    """Write the same new rows to each of the three in turn, and time that."""
    chance = random.Random(f"{table.name} {rows}")  # noqa: S311 - the same rows in every run
    schemas = [table.schema, "bare", "indexed"]
    seconds: Rounds = {schema: [] for schema in schemas}
    connection.execute("set role service_role")
    for number in range(rounds + 1):
        batch = [table.make(chance) for _ in range(rows)]
        for schema in schemas if number % 2 else reversed(schemas):
            elapsed = write(connection, schema, table.name, batch)
            if number > 0:  # the first one warms up
                seconds[schema].append(elapsed)
    connection.execute("reset role")
    return seconds


def _insert(connection: psycopg.Connection, schema: str, name: str, batch: list[Row]) -> float:
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(schema, name),
        sql.SQL(", ").join(map(sql.Identifier, batch[0])),
        sql.SQL(", ").join(sql.Placeholder() * len(batch[0])),
    )
    text = statement.as_string(connection).encode()
    values = [tuple(row.values()) for row in batch]
    started = time.perf_counter()
    for row in values:
        connection.execute(text, row, prepare=True)
    return time.perf_counter() - started


def _copy(connection: psycopg.Connection, schema: str, name: str, batch: list[Row]) -> float:
    statement = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier(schema, name), sql.SQL(", ").join(map(sql.Identifier, batch[0]))
    )
    text = "".join("\t".join(map(_escaped, row.values())) + "\n" for row in batch).encode()
    started = time.perf_counter()
    with connection.cursor().copy(statement) as copy:
        copy.write(text)
    return time.perf_counter() - started


def _escaped(value: str | None) -> str:
    return "\\N" if value is None else value.replace("\\", "\\\\").replace("\n", "\\n")


# Rows. Sizes and mixtures are those of an application at work; a parent is one of PARENTS.

WORDS = re.findall(
    r"\w+",
    "the agent reads a file and finds that the failing test expects another order of rows so it "
    "changes the query adds an index explains why and asks whether the customer may be told",
)

PARENT_ROWS = f"""
create schema bare;
create schema indexed;
grant usage on schema bare, indexed to service_role;
insert into raaf.raaf_tracing_traces (trace_id)
select 'trace_' || lpad(n::text, 32, '0') from generate_series(1, {PARENTS}) as n;
insert into observability.traces (trace_id, workflow_id, execution_id)
select lpad(n::text, 32, '0')::uuid, 'w', n from generate_series(1, {PARENTS}) as n;
insert into traceability.execution_traces (id, correlation_id, root_id, session_id, source)
select id, id, id, id, 'api'
from generate_series(1, {PARENTS}) as n, lateral (select lpad(n::text, 32, '0')::uuid as id) as i;
insert into traceability.success_patterns (id, pattern_hash, agent_sequence)
select lpad(n::text, 32, '0')::uuid, n, array['coder'] from generate_series(1, {PARENTS}) as n;
insert into chat.users (id)
select lpad(n::text, 32, '0')::uuid from generate_series(1, {PARENTS}) as n;
insert into chat.agents (id, user_id, name, description)
select id, id, 'helper', '' from chat.users;
insert into chat.conversation_sessions (id, conversation_id, user_id, agent_id)
select id, id, id, id from chat.users;
insert into agentic.agents (agent_id, name, persona_type, capabilities)
select lpad(n::text, 32, '0')::uuid, 'a', 'developer', '[]' from generate_series(1, {PARENTS}) as n;
insert into agentic.agent_sessions (session_id, agent_id)
select agent_id, agent_id from agentic.agents;
analyze;
""".encode()


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _parent(chance: random.Random) -> str:
    return f"{chance.randint(1, PARENTS):032d}"


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(words // 2, words * 2)))


def _times(chance: random.Random) -> tuple[str, str, int]:
    """Return a start in the running minute, an end, and the milliseconds between."""
    now = datetime.now(UTC)
    milliseconds = chance.randint(5, 30_000)
    return now.isoformat(), (now + timedelta(milliseconds=milliseconds)).isoformat(), milliseconds


def _raaf_span(chance: random.Random) -> Row:
    start, end, milliseconds = _times(chance)
    kind = chance.choice(["agent", "llm", "llm", "tool"])
    tokens = chance.randint(100, 4000)
    attributes: dict[str, object] = {"agent.name": "Researcher", "session": _parent(chance)}
    if kind == "llm":
        attributes |= {
            "llm.model": "gpt-4o",
            "llm.usage.input_tokens": tokens,
            "llm.usage.output_tokens": tokens // 10,
            "llm.latency.total_ms": str(milliseconds),
        }
    elif kind == "tool":
        attributes |= {"function.name": "search", "function.input": _text(chance, 20)}
    row: Row = {
        "span_id": f"span_{chance.getrandbits(96):024x}",
        "trace_id": f"trace_{_parent(chance)}",
        "parent_id": f"span_{chance.getrandbits(96):024x}",
        "name": f"run.workflow.{kind}",
        "kind": kind,
        "status": chance.choice(["ok"] * 9 + ["error"]),
        "start_time": start,
        "end_time": end,
        "duration_ms": str(milliseconds),
        "span_attributes": json.dumps(attributes),
        "events": "[]",
        "created_at": end,
        "updated_at": end,
        "input_tokens": str(tokens) if kind == "llm" else None,
        "output_tokens": str(tokens // 10) if kind == "llm" else None,
    }
    seen = _seen_by_agent(chance, start, end, milliseconds) if kind == "agent" else {}
    return row | {
        column: seen.get(column)
        for column in (
            "agent_name",
            "prompt_data",
            "input_context",
            "output_context",
            "chat_messages",
            "execution_metadata",
        )
    }


def _seen_by_agent(chance: random.Random, start: str, end: str, milliseconds: int) -> Row:
    return {
        "agent_name": chance.choice(["Researcher", "Writer", "Reviewer"]),
        "prompt_data": json.dumps(
            {
                "text": _text(chance, 60),
                "template": "research",
                "variables": {"topic": "indexes"},
                "model": "gpt-4o",
                "temperature": 0.7,
                "max_tokens": 2000,
            }
        ),
        "input_context": json.dumps(
            {
                "data": {"query": _text(chance, 20)},
                "schema": {"type": "object"},
                "validation_results": [{"field": "query", "status": "valid", "message": None}],
            }
        ),
        "output_context": json.dumps(
            {
                "data": {"answer": _text(chance, 60)},
                "transformations": [{"step": "rank", "duration_ms": 12, "records_processed": 40}],
            }
        ),
        "chat_messages": json.dumps(
            [
                {"role": role, "content": _text(chance, 30), "timestamp": start}
                for role in ("system", "user", "assistant")
            ]
        ),
        "execution_metadata": json.dumps(
            {
                "agent_class": "ResearchAgent",
                "agent_version": "1.4.0",
                "start_time": start,
                "end_time": end,
                "duration_ms": milliseconds,
                "tools_used": ["search", "read"],
                "handoffs": [{"from_agent": "Researcher", "to_agent": "Writer", "timestamp": end}],
                "retry_count": 0,
            }
        ),
    }


def _observability_trace(chance: random.Random) -> Row:
    start, end, milliseconds = _times(chance)
    tokens = chance.randint(100, 4000)
    return {
        "trace_id": _uuid(chance),
        "workflow_id": _parent(chance),
        "execution_id": _uuid(chance),
        "query": _text(chance, 15),
        "started_at": start,
        "completed_at": end,
        "total_duration_ms": str(milliseconds),
        "status": "completed",
        "total_cost": str(tokens / 1e6),
        "total_tokens": json.dumps({"input": tokens, "output": 200, "total": tokens + 200}),
        "metadata": json.dumps({"environment": "production", "nodes": 7}),
    }


def _observability_span(chance: random.Random) -> Row:
    start, end, milliseconds = _times(chance)
    tokens = chance.randint(100, 4000)
    return {
        "span_id": _uuid(chance),
        "trace_id": _parent(chance),
        "parent_span_id": _uuid(chance),
        "span_type": chance.choice(["llm", "embedding", "vector_search", "node_execution"]),
        "name": "answer",
        "status": "completed",
        "started_at": start,
        "completed_at": end,
        "duration_ms": str(milliseconds),
        "inputs": json.dumps({"prompt": _text(chance, 60)}),
        "outputs": json.dumps({"text": _text(chance, 60)}),
        "tokens": json.dumps(
            {"input_tokens": tokens, "output_tokens": 200, "total_tokens": tokens + 200}
        ),
        "cost": str(tokens / 1e6),
        "model": "gpt-4o-mini",
        "provider": "openai",
        "api_limits": json.dumps({"rate_limit": 500, "remaining": 499, "reset_at": end}),
        "evaluation": json.dumps({"metrics": {"tokens_per_second": 41.5}, "warnings": []}),
        "metadata": json.dumps({"node_id": "n4", "temperature": 0.2}),
    }


def _hook_execution(chance: random.Random) -> Row:
    start, end, milliseconds = _times(chance)
    return {
        "trace_id": _parent(chance),
        "hook_type": chance.choice(["PreToolUse", "PostToolUse", "UserPromptSubmit"]),
        "hook_name": "quality-enforcer",
        "execution_order": str(chance.randint(1, 40)),
        "tool_name": chance.choice(["Write", "Edit", "Read"]),
        "file_path": "src/module/file.py",
        "started_at": start,
        "completed_at": end,
        "duration_ms": str(milliseconds),
        "status": "completed",
        "input_data": json.dumps({"content": _text(chance, 40)}),
        "output_data": json.dumps({"content": _text(chance, 40)}),
        "rag_query_performed": "true",
        "rag_results": json.dumps({"matches": 4, "confidence": 0.8, "top_pattern": "order"}),
        "quality_check_performed": "true",
        "quality_results": json.dumps({"violations_found": 1, "quality_score": 0.92}),
        "metadata": json.dumps({"processing_time_ms": milliseconds}),
    }


def _endpoint_call(chance: random.Random) -> Row:
    start, end, milliseconds = _times(chance)
    return {
        "trace_id": _parent(chance),
        "hook_execution_id": _uuid(chance),
        "service": chance.choice(["RAG", "quality_assessment"]),
        "endpoint_url": "/api/rag/query",
        "method": "POST",
        "request_body": json.dumps({"query": _text(chance, 20)}),
        "response_body": json.dumps({"results": [_text(chance, 40)]}),
        "headers": json.dumps({"authorization": "[REDACTED]"}),
        "status_code": "200",
        "started_at": start,
        "completed_at": end,
        "duration_ms": str(milliseconds),
        "success": "true",
        "rag_query": _text(chance, 10),
    }


def _pattern_usage(chance: random.Random) -> Row:
    return {
        "pattern_id": _parent(chance),
        "trace_id": _uuid(chance),
        "match_score": "0.87",
        "was_applied": "true",
        "outcome": "success",
        "success": "true",
        "expected_duration_ms": "1200",
        "actual_duration_ms": str(chance.randint(500, 3000)),
    }


def _execution_trace(chance: random.Random) -> Row:
    start, end, milliseconds = _times(chance)
    correlation = _uuid(chance)
    return {
        "correlation_id": correlation,
        "root_id": correlation,
        "session_id": _parent(chance),
        "user_id": f"user {chance.randint(1, 50)}",
        "source": "user_prompt",
        "prompt_text": _text(chance, 40),
        "started_at": start,
        "completed_at": end,
        "duration_ms": str(milliseconds),
        "status": "completed",
        "success": "true",
        "context": json.dumps({"branch": "main"}),
        "tags": "{backend,query}",
    }


def _chat_message(chance: random.Random) -> Row:
    session = _parent(chance)
    is_user = chance.random() < 0.5
    metadata = {
        "model": "gpt-4o",
        "temperature": 0.7,
        "tokens": {"prompt": 900, "completion": 120, "total": 1020},
        "latency": {"inference_ms": 800, "total_ms": 950},
        "confidence": 0.9,
        "source": "api",
        "request_id": _uuid(chance),
    }
    return {
        "id": _uuid(chance),
        "conversation_id": session,
        "session_id": session,
        "parent_message_id": _uuid(chance),
        "sender_user_id": session if is_user else None,
        "sender_agent_id": None if is_user else session,
        "role": "user" if is_user else "assistant",
        "content": json.dumps({"type": "text", "text": _text(chance, 60), "format": "markdown"}),
        "metadata": json.dumps({"source": "ui"} if is_user else metadata),
        "context": json.dumps({"thread_id": session, "intent": "question", "topics": ["indexes"]}),
    }


def _agentic_message(chance: random.Random) -> Row:
    return {
        "session_id": _parent(chance),
        "role": chance.choice(["user", "agent", "tool"]),
        "content": _text(chance, 60),
        "message_type": "text",
        "parent_message_id": _uuid(chance),
        "tokens_used": str(chance.randint(50, 4000)),
        "model_used": "claude-sonnet-4",
        "metadata": json.dumps({"turn": chance.randint(1, 60)}),
    }


def _agent_decision(chance: random.Random) -> Row:
    return {
        "session_id": _parent(chance),
        "decision_type": chance.choice(["code_generation", "review", "test"]),
        "input_context": json.dumps({"file": "module/file.py", "request": _text(chance, 20)}),
        "decision_rationale": _text(chance, 40),
        "action_taken": json.dumps({"type": "edit", "lines": chance.randint(1, 90)}),
        "confidence_score": "0.83",
        "user_feedback": chance.choice(["approved", "rejected", None]),
        "execution_time_ms": str(chance.randint(50, 5000)),
    }


def _audit_entry(chance: random.Random) -> Row:
    return {
        "agent_id": _parent(chance),
        "session_id": _parent(chance),
        "action_type": "file_write",
        "action_details": json.dumps({"status": "succeeded", "path": _text(chance, 5)}),
        "risk_level": "low",
        "user_id": _parent(chance),
        "ip_address": "192.0.2.7",
        "user_agent": "editor/1.4",
    }


TABLES = [
    Table("raaf", "raaf_tracing_spans", _raaf_span),
    Table("observability", "traces", _observability_trace),
    Table("observability", "spans", _observability_span),
    Table("traceability", "execution_traces", _execution_trace),
    Table("traceability", "hook_executions", _hook_execution),
    Table("traceability", "endpoint_calls", _endpoint_call),
    Table("traceability", "pattern_usage_log", _pattern_usage),
    Table("chat", "chat_messages_v2", _chat_message),
    Table("agentic", "conversation_history", _agentic_message),
    Table("agentic", "agent_decisions", _agent_decision),
    Table("agentic", "agent_audit_log", _audit_entry, has_bar=False),
]


if __name__ == "__main__":
    main()
