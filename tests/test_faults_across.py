"""Faults that lie between the five original definitions: each is shown first, then looked for here."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING

import psycopg
import pytest
from faults import accepted, refused, run, value
from raw_rows import ONE, ROWS, TWO, Row, insert

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMAS = ("raaf", "observability", "traceability", "chat", "agentic")
LAYERS = ("staging", "intermediate", "marts")

RATE = re.compile(
    "(_rate|_score|^importance|^metric_value|^interval_low|^interval_high|^pass_hat_k)$"
)

# A word that stands wherever people write, and nowhere else.
SAID = "a word in confidence"
PERSONAL: dict[str, Row] = {
    "observability.traces": {"query": SAID},
    "traceability.execution_traces": {"prompt_text": SAID},
    "traceability.agent_routing_decisions": {"query_text": SAID},
    "agentic.users": {"full_name": SAID, "email": f"{SAID}@example.org"},
    "agentic.agent_decisions": {
        "decision_rationale": SAID,
        "input_context": f'{{"prompt": "{SAID}"}}',
        "action_taken": f'{{"answer": "{SAID}"}}',
        "confidence_score": 1,
        "user_feedback": "approved",
    },
    "agentic.conversation_history": {"message_id": TWO, "content": SAID},
    "agentic.agent_knowledge": {"content": f'{{"heard": "{SAID}"}}', "success_rate": 1},
    "agentic.agent_audit_log": {
        "action_details": f'{{"status": "failed", "reason": "{SAID}"}}',
        "user_agent": SAID,
        "ip_address": "203.0.113.77",
    },
    "chat.users": {"full_name": SAID, "email": f"{SAID}@example.org"},
    "chat.agents": {"personality": SAID, "system_instructions": SAID},
    "chat.chat_messages_v2": {"content": f'{{"type": "text", "text": "{SAID}"}}'},
    "chat.agent_memories": {
        "content": f'{{"concept": "{SAID}", "definition": "{SAID}"}}',
        "importance": 1,
    },
    "chat.agent_states": {"persistent_state": f'{{"heard": "{SAID}"}}'},
    "chat.context_snapshots": {"snapshot_data": f'{{"shown": "{SAID}"}}'},
}

STATUSES = {
    "pending": "running",
    "running": "running",
    "in_progress": "running",
    "active": "running",
    "paused": "running",
    "completed": "succeeded",
    "ok": "succeeded",
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "skipped": "cancelled",
    "abandoned": "cancelled",
    "terminated": "cancelled",
}


@pytest.fixture(scope="module")
def marts(module_url: str, build_marts: Callable[[str], None]) -> None:
    """One row in each raw table of the file's database, and all models built over them."""
    with psycopg.connect(module_url) as connection:
        for table, row in ROWS.items():
            if table != "agentic.audit_chain_heads":
                insert(connection, table, row | PERSONAL.get(table, {}))
    build_marts(module_url)


def columns(connection: psycopg.Connection, *schemas: str) -> list[tuple[str, str, str]]:
    """Give relation, name and type of each column that tables and views of some schemas have."""
    return connection.execute(
        "select table_schema || '.' || table_name, column_name::text, udt_name::text"
        " from information_schema.columns where table_schema = any (%s)",
        (list(schemas),),
    ).fetchall()


def words(connection: psycopg.Connection, table: str, constraint: str) -> list[str]:
    """Give the words that a check of a table lets in."""
    definition = value(
        connection,
        "select pg_get_constraintdef(oid) from pg_constraint"
        f" where conrelid = '{table}'::regclass and conname = '{constraint}'",
    )
    return re.findall(r"'(\w+)'::", definition)


def test_tables_of_one_name_stand_beside_each_other(database: psycopg.Connection) -> None:
    """Two of the systems cannot be in one database: both have agents and users, with other keys."""
    run(database, "set local search_path = original")
    run(database, "create table agents (agent_id uuid primary key)")
    refused(database, "create table agents (id uuid primary key)", "42P07")
    refused(
        database,
        "create table if not exists agents (id uuid primary key);"
        " create table states (agent_id uuid references agents (id))",
        "42703",
    )
    for table in (
        "chat.agents (id)",
        "agentic.agents (agent_id)",
        "chat.users (id)",
        "agentic.users (user_id)",
    ):
        accepted(database, f"create table states (id uuid references {table})")
    shared = value(
        database,
        "select array_agg(relname::text order by relname) from (select relname from pg_class"
        f" where relnamespace::regnamespace::text = any ('{{{','.join(SCHEMAS)}}}') and relkind in ('r', 'p')"
        " group by relname having count(*) > 1) as names",
    )
    assert shared == ["agents", "users"]


@pytest.mark.usefixtures("marts")
@pytest.mark.parametrize(
    ("table", "column", "constraint", "model"),
    [
        (
            "raaf.raaf_tracing_traces",
            "status",
            "raaf_tracing_traces_status_check",
            "stg_raaf__traces",
        ),
        ("raaf.raaf_tracing_spans", "status", "raaf_tracing_spans_status_check", "stg_raaf__spans"),
        ("observability.traces", "status", "valid_status", "stg_observability__traces"),
        ("observability.spans", "status", "valid_span_status", "stg_observability__spans"),
        (
            "traceability.execution_traces",
            "status",
            "execution_traces_status_check",
            "stg_traceability__execution_traces",
        ),
        (
            "traceability.hook_executions",
            "status",
            "hook_executions_status_check",
            "stg_traceability__hook_executions",
        ),
        (
            "chat.conversation_sessions",
            "status",
            "conversation_sessions_status_check",
            "stg_chat__conversation_sessions",
        ),
        (
            "agentic.agent_sessions",
            "version = version + 1, session_state",
            "agent_sessions_session_state_check",
            "stg_agentic__agent_sessions",
        ),
    ],
)
def test_there_is_one_word_for_how_something_ended(
    database: psycopg.Connection, table: str, column: str, constraint: str, model: str
) -> None:
    """Who counts what is completed misses a system that says ok."""
    run(
        database,
        "create table original.runs as select * from"
        " (values ('raaf', 'ok'), ('observability', 'completed')) as r (source_system, status)",
    )
    assert value(database, "select count(*) from original.runs where status = 'completed'") == 1

    for word in words(database, table, constraint):
        with database.transaction(force_rollback=True):
            run(database, f"update {table} set {column} = '{word}'")
            found = database.execute(
                f"select status, status_recorded from staging.{model}".encode()
            )
            assert found.fetchall() == [(STATUSES[word], word)]


@pytest.mark.usefixtures("marts")
def test_there_is_one_word_for_who_speaks(database: psycopg.Connection) -> None:
    """Who counts what assistants say misses a system that calls them agents."""
    run(
        database,
        "create table original.messages as select * from"
        " (values ('chat', 'assistant'), ('agentic', 'agent')) as m (source_system, role)",
    )
    assert value(database, "select count(*) from original.messages where role = 'assistant'") == 1

    run(database, "update agentic.conversation_history set role = 'agent'")
    run(
        database,
        f"update chat.chat_messages_v2 set role = 'assistant', sender_agent_id = '{ONE}',"
        " sender_user_id = null",
    )
    spoken = database.execute("select source_system, role from intermediate.int_messages__unioned")
    assert sorted(spoken.fetchall()) == [("agentic", "assistant"), ("chat", "assistant")]


@pytest.mark.usefixtures("marts")
def test_an_agent_is_one_within_its_system_and_merged_only_on_demand(
    database: psycopg.Connection,
) -> None:
    """One agent written in two ways becomes two, and two that share a name become one."""
    run(
        database,
        "create table original.runs as select * from"
        " (values ('traceability', ' Coder'), ('traceability', 'coder'), ('chat', 'coder'))"
        " as r (source_system, agent)",
    )
    mixed = "select agent, count(distinct source_system) from original.runs group by 1 order by 1"
    assert database.execute(mixed).fetchall() == [(" Coder", 1), ("coder", 2)]

    run(
        database,
        f"""
        update chat.agents set name = 'Coder ';
        update agentic.agents set name = 'coder', version = version + 1;
        update raaf.raaf_tracing_spans set kind = 'agent', agent_name = 'Coder';
        insert into traceability.execution_traces (id, correlation_id, root_id, session_id, source)
        values ('{TWO}', '{TWO}', '{TWO}', '{ONE}', 'user_prompt');
        insert into traceability.agent_routing_decisions
            (trace_id, agent_selected, confidence_score, routing_strategy)
        values ('{TWO}', ' CODER', 1, 'explicit');
        """,
    )

    def agent_keys() -> dict[str, list[str]]:
        return dict(
            database.execute(
                "select source_system, array_agg(distinct agent_key)"
                " from intermediate.int_runs__unioned where agent_name = 'coder' group by 1"
            ).fetchall()
        )

    found = agent_keys()
    assert sorted(found) == ["agentic", "chat", "raaf", "traceability"]
    assert [len(keys) for keys in found.values()] == [1, 1, 1, 1]
    assert len({key for [key] in found.values()}) == 4, "a shared name proves nothing"

    run(database, "insert into seeds.agent_mapping values ('chat', 'coder', 'agentic', 'coder')")
    found = agent_keys()
    assert found["chat"] == found["agentic"]
    assert len({key for [key] in found.values()}) == 3


@pytest.mark.usefixtures("marts")
def test_times_are_the_same_in_every_time_zone(database: psycopg.Connection) -> None:
    """One moment is stored as two, and a run slips to another day, by the zone a session happens to be in."""
    run(database, "create table original.traces (started_at timestamp default now())")
    for zone in ("UTC", "Asia/Kolkata"):
        run(database, f"set local timezone = '{zone}'")
        run(database, "insert into original.traces default values")
        run(
            database,
            "insert into observability.traces (workflow_id, execution_id)",
            f" values ('zones', '{zone}')",
        )
    assert value(database, "select count(distinct started_at) from original.traces") == 2
    same = "select count(distinct started_at) from observability.traces where workflow_id = 'zones'"
    assert value(database, same) == 1

    naive = [c for c in columns(database, *SCHEMAS, *LAYERS) if c[2] == "timestamp"]
    assert naive == [], "store and pass on times with their zone"

    # As the writers of times without a zone do it: in sessions that run in UTC.
    run(database, "set local timezone = 'UTC'")
    run(database, "update raaf.raaf_tracing_traces set started_at = '2020-03-01 23:30:00'")
    run(database, "set local timezone = 'Asia/Kolkata'")
    day = "select (started_at at time zone 'UTC')::date from intermediate.int_runs__unioned"
    assert value(database, f"{day} where source_system = 'raaf'") == datetime.date(2020, 3, 1)


@pytest.mark.usefixtures("marts")
def test_embeddings_stay_in_the_raw_layer(database: psycopg.Connection) -> None:
    """A comparison of two systems' embeddings fails, for they have other lengths."""
    run(database, "set local search_path = original, public")
    run(database, "create table memories as select array_fill(1, '{1536}')::vector as embedding")
    run(database, "create table knowledge as select array_fill(1, '{768}')::vector as embedding")
    refused(
        database,
        "select m.embedding <=> k.embedding from memories as m cross join knowledge as k",
        "22000",
    )

    held = [
        f"{relation}.{name}"
        for relation, name, type_ in columns(database, *LAYERS)
        if "embedding" in name or type_ in ("vector", "_float4", "_float8")
    ]
    assert held == [], "leave embeddings to the searches of the raw layer"


@pytest.mark.usefixtures("marts")
def test_rates_are_between_0_and_1(database: psycopg.Connection) -> None:
    """A mean over an accuracy of 93.5 per cent and a confidence of 0.9 is 47."""
    run(
        database,
        "create table original.rates as select * from"
        " (values ('agentic', 93.5), ('traceability', 0.9)) as r (source_system, rate)",
    )
    assert value(database, "select max(rate) > 1 from original.rates")

    run(
        database,
        "insert into agentic.trust_metrics (session_id, metric_type, metric_value)"
        f" values ('{ONE}', 'complexity', 10), ('{ONE}', 'efficiency', 100)",
    )
    highest = {}
    for relation, name, _ in columns(database, *LAYERS):
        assert not name.endswith(("_pct", "_percent")), f"{relation}.{name}: store 0 to 1"
        if RATE.search(name):
            bounds = f"select min({name}), max({name}) from {relation}"
            [(low, high)] = database.execute(bounds.encode()).fetchall()
            assert low is None or 0 <= low <= high <= 1, f"{relation}.{name}: {low} to {high}"
            highest[relation, name] = high
    assert highest["staging.stg_agentic__trust_metrics", "metric_value"] == 1
    assert highest["marts.trust_progression", "success_rate"] == 1


@pytest.mark.usefixtures("marts")
def test_what_people_write_stays_in_the_raw_layer(database: psycopg.Connection) -> None:
    """Reasons, addresses and messages that were to be kept secret are read in every report."""
    run(database, "create table original.decisions as table agentic.agent_decisions")
    assert (
        value(database, f"select count(*) from original.decisions as d where d::text ~ '{SAID}'")
        == 1
    )

    relations = {relation for relation, *_ in columns(database, *LAYERS)}
    assert len(relations) > 30, "the marts were not built"
    personal = f"r::text ~ '{SAID}|203.0.113.77'"
    for relation in relations:
        leaked = value(database, f"select count(*) from {relation} as r where {personal}")
        assert leaked == 0, f"{relation} shows what people wrote: take its column out"
