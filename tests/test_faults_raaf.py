"""The faults that the definition of raaf's tables had as it came, and that ours must not have."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from faults import (
    accepted,
    acting,
    insert,
    needless_indexes,
    plan,
    refused,
    run,
    staging_sql,
    value,
)

from orchestration import backfill, bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

TRACE = insert("raaf.raaf_tracing_traces", trace_id="'t'")
DOCUMENTS = {
    "prompt_data": {
        "text": "Find late orders",
        "template": "Find #{what}",
        "variables": {"what": "late orders"},
        "model": "gpt-4o",
        "temperature": 0.7,
        "max_tokens": 1000,
    },
    "input_context": {
        "data": {"orders": [1, 2]},
        "schema": {"orders": "array"},
        "validation_results": [{"field": "orders", "status": "valid", "message": "2 orders"}],
    },
    "output_context": {
        "data": {"late": [2]},
        "schema": {"late": "array"},
        "transformations": [
            {"step": "filter", "duration_ms": 12, "records_processed": 2},
            {"step": "explain", "duration_ms": 800, "insights_generated": 1},
        ],
    },
    "chat_messages": [
        {"role": "user", "content": "Which are late?", "timestamp": "2026-01-15T10:30:00Z"},
        {"role": "assistant", "content": "Order 2.", "timestamp": "2026-01-15T10:30:07Z"},
    ],
    "execution_metadata": {
        "agent_class": "OrderAgent",
        "agent_version": "1.2.0",
        "start_time": "2026-01-15T10:30:00Z",
        "end_time": "2026-01-15T10:30:08Z",
        "duration_ms": 8000,
        "memory_usage_mb": 45.2,
        "cpu_time_ms": 120,
        "tools_used": ["search"],
        "handoffs": [
            {"from_agent": "OrderAgent", "to_agent": "Clerk", "timestamp": "2026-01-15T10:30:05Z"}
        ],
        "error_info": None,
        "retry_count": 0,
    },
}


def span(span_id: str = "s", **values: str) -> str:
    """Write the statement that inserts a span of the trace; the values are SQL expressions."""
    return insert(
        "raaf.raaf_tracing_spans",
        **({"trace_id": "'t'", "span_id": f"'{span_id}'", "name": "'step'"} | values),
    )


@pytest.fixture
def database(database: psycopg.Connection) -> psycopg.Connection:
    """The database of this file with one trace to hang spans under."""
    run(database, TRACE)
    return database


@pytest.fixture(scope="module")
def staged_spans(module_url: str) -> str:
    """The query of the spans' staging view."""
    return str(staging_sql(module_url, "stg_raaf__spans")["stg_raaf__spans"])


def test_columns_are_added_to_tables_that_exist(database: psycopg.Connection) -> None:
    """An upgrade that stops at its first line: nobody made the tables that it adds columns to."""
    refused(database, "alter table original.spans add column agent_name text", "42P01")
    accepted(database, span(agent_name="'helper'"))


def test_the_index_of_recent_spans_has_no_moving_edge(database: psycopg.Connection) -> None:
    """An index for a dashboard that is refused, as what it holds would change with the clock."""
    run(database, "create table original.spans (start_time timestamptz)")
    refused(
        database,
        "create index on original.spans (start_time) where start_time > now() - interval '30 days'",
        "42P17",
    )
    definition = value(
        database, "select pg_get_indexdef('raaf.idx_raaf_tracing_spans_recent'::regclass)"
    )
    assert definition.endswith("(start_time DESC)"), "let the query filter, not the index"


def test_old_spans_of_agents_get_their_names_before_names_are_required(
    database: psycopg.Connection, raw: psycopg.Connection
) -> None:
    """An upgrade that fails wherever agents already ran: their spans have no agent_name yet."""
    run(
        database,
        "create table original.spans (kind text, agent_name text);"
        "insert into original.spans values ('agent', null)",
    )
    refused(
        database,
        "alter table original.spans add check (kind <> 'agent' or agent_name is not null)",
        "23514",
    )
    bootstrap.revert(raw, "100_raaf_traces")
    agent = {"kind": "'agent'"}
    run(
        raw,
        TRACE
        + span("dotted", span_attributes="""'{"agent.name": "clerk"}'""", **agent)
        + span("nested", span_attributes="""'{"agent": {"name": "critic"}}'""", **agent)
        + span("unnamed", **agent)
        + span("tool", kind="'tool'"),
    )
    bootstrap.bootstrap(raw)
    backfill.raaf(raw)
    names = raw.execute("select span_id, agent_name from raaf.raaf_tracing_spans order by span_id")
    assert names.fetchall() == [
        ("dotted", "clerk"),
        ("nested", "critic"),
        ("tool", None),
        ("unnamed", "step"),
    ]


def test_an_upgrade_can_be_run_again(
    database: psycopg.Connection, module_url: str, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A deployment that is repeated after a lost connection, and fails as the column is there."""
    run(database, "create table original.spans (agent_name text)")
    refused(database, "alter table original.spans add column agent_name text", "42701")
    assert bootstrap.bootstrap(connect(module_url)) == []


def test_the_example_documents_can_be_stored(database: psycopg.Connection) -> None:
    """Examples with [...] in them, which no parser reads: nobody ever tried them out."""
    refused(database, """select '{"data": {"orders": [...]}}'::jsonb""", "22P02")
    documents = {column: f"'{json.dumps(content)}'" for column, content in DOCUMENTS.items()}
    accepted(database, span(kind="'agent'", agent_name="'OrderAgent'", **documents))


def test_an_agent_has_a_name_that_can_be_seen(database: psycopg.Connection) -> None:
    """Spans of an agent called "  ", which a dashboard shows as nobody's."""
    run(database, "create table original.spans (agent_name text check (length(agent_name) > 0))")
    accepted(database, "insert into original.spans values ('  ')")
    for name in ("'  '", "''", "null"):
        refused(
            database,
            span(kind="'agent'", agent_name=name),
            "23514",
            "check_agent_name_for_agent_spans",
        )


def test_a_span_is_of_a_kind_that_is_known(database: psycopg.Connection) -> None:
    """A misspelt kind, which every sum over agents or models then leaves out."""
    run(database, "create table original.spans (kind text not null default 'internal')")
    accepted(database, "insert into original.spans values ('agnet')")
    refused(database, span(kind="'agnet'"), "23514", "raaf_tracing_spans_kind_check")


@pytest.mark.parametrize(
    ("column", "document"),
    [
        ("prompt_data", '{"model": "gpt-4o"}'),
        ("prompt_data", '{"text": null}'),
        ("input_context", "[]"),
        ("input_context", '{"schema": {}}'),
        ("output_context", '"done"'),
        ("output_context", '{"schema": {}}'),
        ("chat_messages", '["hello"]'),
        ("chat_messages", '[{"content": "hello"}]'),
        ("chat_messages", '[{"role": "user"}]'),
        ("execution_metadata", "[]"),
        ("execution_metadata", '{"tools_used": "search"}'),
    ],
)
def test_a_document_has_the_shape_that_readers_expect(
    database: psycopg.Connection, column: str, document: str
) -> None:
    """Documents without text, data or role, stored because only two outermost types were looked at."""
    run(
        database,
        "create table original.spans (input_context jsonb, output_context jsonb,"
        " prompt_data jsonb check (jsonb_typeof(prompt_data) = 'object'),"
        " chat_messages jsonb check (jsonb_typeof(chat_messages) = 'array'),"
        " execution_metadata jsonb)",
    )
    accepted(database, insert("original.spans", **{column: f"'{document}'"}))
    refused(database, span(**{column: f"'{document}'"}), "23514", f"check_valid_{column}")


def test_what_was_not_captured_is_null_on_every_path(database: psycopg.Connection) -> None:
    """Spans without prompt counted as spans with one: SQL left null what Rails filled with {}."""
    run(
        database,
        "create table original.by_sql (prompt_data jsonb);"
        "create table original.by_rails (prompt_data jsonb default '{}');"
        "insert into original.by_sql default values;"
        "insert into original.by_rails default values",
    )
    assert value(database, "select count(prompt_data) from original.by_sql") == 0
    assert value(database, "select count(prompt_data) from original.by_rails") == 1
    run(database, span())
    captured = value(
        database,
        f"select num_nonnulls({', '.join(DOCUMENTS)}) from raaf.raaf_tracing_spans",
    )
    assert captured == 0, "give these columns no default"


def test_spans_are_found_by_a_time_that_is_one(database: psycopg.Connection) -> None:
    """A period's spans out of order, and read through the whole table: their start was text."""
    early, late = "2026-01-01T10:00:00+05:30", "2026-01-01T06:00:00Z"
    run(
        database,
        "create table original.spans (metadata jsonb);"
        "create index on original.spans ((metadata ->> 'start_time'));"
        f"""insert into original.spans values ('{{"start_time": "{early}"}}'), """
        f"""('{{"start_time": "{late}"}}')""",
    )
    started = "metadata ->> 'start_time'"
    assert value(database, f"select min({started}) from original.spans") == late
    refused(database, f"create index on original.spans ((({started})::timestamptz))", "42P17")
    period = f"select from original.spans where ({started})::timestamptz > '2026-01-01'"
    assert "Seq Scan" in plan(database, period)

    run(database, span("late", start_time=f"'{late}'") + span("early", start_time=f"'{early}'"))
    spans = "raaf.raaf_tracing_spans where start_time > '2026-01-01'"
    assert value(database, f"select span_id from {spans} order by start_time limit 1") == "early"
    assert "default_start_time_idx" in plan(database, f"select from {spans}"), "index start_time"


def test_a_start_is_the_same_moment_in_every_session(database: psycopg.Connection) -> None:
    """Fresh spans that begin in the future for a reader whose session is in another time zone."""
    run(database, "set local timezone = 'Asia/Kolkata'")
    run(
        database,
        "create table original.spans (start_time timestamp default now());"
        "insert into original.spans default values;" + span(),
    )
    run(database, "set local timezone = 'UTC'")
    assert value(database, "select start_time > current_timestamp from original.spans")
    assert value(database, "select start_time = current_timestamp from raaf.raaf_tracing_spans")
    without_zone = value(
        database,
        "select count(*) from information_schema.columns"
        " where table_schema = 'raaf' and data_type = 'timestamp without time zone'",
    )
    assert without_zone == 0, "make it timestamptz"


def test_one_of_three_durations_counts(database: psycopg.Connection, staged_spans: str) -> None:
    """A span that took 5, 6 or 7 seconds, depending on which of its three durations a report read."""
    times = {"start_time": "'2026-01-01 10:00Z'", "end_time": "'2026-01-01 10:00:07Z'"}
    copied = """'{"duration_ms": 6000}'"""
    run(
        database,
        "create table original.spans (duration_ms numeric, metadata jsonb, start_time timestamptz,"
        " end_time timestamptz);"
        + insert("original.spans", duration_ms="5000", metadata=copied, **times),
    )
    durations = database.execute(
        "select duration_ms, (metadata ->> 'duration_ms')::numeric,"
        " extract(epoch from end_time - start_time) * 1000 from original.spans"
    ).fetchone()
    assert durations is not None
    assert len(set(durations)) == 3

    run(
        database,
        span("measured", duration_ms="5000", execution_metadata=copied, **times)
        + span("timed", execution_metadata=copied, **times),
    )
    staged = database.execute(
        f"select span_id, duration_ms from ({staged_spans}) as spans order by span_id".encode()
    )
    assert staged.fetchall() == [("measured", Decimal(5000)), ("timed", Decimal(7000))]


def test_time_does_not_run_backwards(database: psycopg.Connection) -> None:
    """Spans that end before they start or take less than no time, which pull every mean down."""
    backwards = {"start_time": "'2026-01-01 10:00Z'", "end_time": "'2026-01-01 09:00Z'"}
    run(
        database,
        "create table original.spans (start_time timestamptz, end_time timestamptz,"
        " duration_ms numeric)",
    )
    accepted(database, insert("original.spans", duration_ms="-1", **backwards))
    refused(database, span(**backwards), "23514", "raaf_tracing_spans_end_not_before_start")
    refused(database, span(duration_ms="-1"), "23514", "raaf_tracing_spans_duration_ms_check")
    refused(
        database,
        "update raaf.raaf_tracing_traces"
        " set started_at = '2026-01-01 10:00Z', ended_at = '2026-01-01 09:00Z'",
        "23514",
        "raaf_tracing_traces_end_not_before_start",
    )


def test_the_column_names_the_agent_whatever_the_attributes_say(
    database: psycopg.Connection, staged_spans: str
) -> None:
    """One agent under two names: its column was corrected, the copy in the attributes was not."""
    attributes = """'{"agent.name": "old name"}'"""
    run(
        database,
        "create table original.spans (agent_name text, span_attributes jsonb);"
        + insert("original.spans", agent_name="'clerk'", span_attributes=attributes),
    )
    differs = "select agent_name <> span_attributes ->> 'agent.name' from original.spans"
    assert value(database, differs)
    run(database, span(kind="'agent'", agent_name="'clerk'", span_attributes=attributes))
    assert value(database, f"select agent_name from ({staged_spans}) as spans") == "clerk"


def test_a_trace_leaves_with_all_its_spans(database: psycopg.Connection) -> None:
    """A clean-up of agents' spans that leaves their tool calls without a parent, and every trace."""
    run(
        database,
        "create table original.spans (span_id text, parent_id text, agent_name text,"
        " start_time timestamptz);"
        "insert into original.spans values ('agent', null, 'clerk', '2020-01-01'),"
        " ('tool', 'agent', null, '2020-01-01'), ('undated', 'agent', 'clerk', null);"
        "delete from original.spans where agent_name is not null and start_time < '2021-01-01'",
    )
    dangling = database.execute("select span_id from original.spans order by span_id").fetchall()
    assert dangling == [("tool",), ("undated",)]

    run(
        database,
        span("agent", kind="'agent'", agent_name="'clerk'", start_time="'2020-01-01'")
        + span("tool", parent_id="'agent'", start_time="'2020-01-01'"),
    )
    refused(database, span(start_time="null"), "23502")
    with acting(database, "agentbooks_retention"):
        run(database, "delete from raaf.raaf_tracing_traces where trace_id = 't'")
    assert value(database, "select count(*) from raaf.raaf_tracing_spans") == 0


def test_a_rollback_and_a_new_start_keep_the_data(
    database: psycopg.Connection, raw: psycopg.Connection
) -> None:
    """A rollback called safe that drops the columns, so that trying again finds them empty."""
    run(
        database,
        "create table original.spans (agent_name text);"
        "insert into original.spans values ('clerk');"
        "alter table original.spans drop column agent_name;"
        "alter table original.spans add column agent_name text",
    )
    assert value(database, "select agent_name from original.spans") is None

    documents = {column: f"'{json.dumps(content)}'" for column, content in DOCUMENTS.items()}
    run(raw, TRACE + span(agent_name="'clerk'", **documents))
    bootstrap.revert(raw, "100_raaf_traces")
    bootstrap.bootstrap(raw)
    kept = raw.execute(
        f"select agent_name, {', '.join(DOCUMENTS)} from raaf.raaf_tracing_spans".encode()
    ).fetchone()
    assert kept == ("clerk", *DOCUMENTS.values())


def test_no_column_is_indexed_twice(database: psycopg.Connection) -> None:
    """Each index made twice, by a script under its name and by Rails under another."""
    run(
        database,
        "create table original.spans (agent_name text);"
        "create index idx_spans_agent_name on original.spans (agent_name);"
        "create index index_spans_on_agent_name on original.spans (agent_name)",
    )
    assert len(needless_indexes(database, "original")) == 2
    assert needless_indexes(database, "raaf") == [], "drop them"


def test_counting_messages_never_stops_a_query(database: psycopg.Connection) -> None:
    """A report over all conversations that one stored object, which is no list, brings down."""
    run(
        database,
        "create table original.spans (chat_messages jsonb);"
        """insert into original.spans values ('{"role": "user", "content": "hello"}')""",
    )
    refused(database, "select jsonb_array_length(chat_messages) from original.spans", "22023")
    run(
        database,
        span("list", chat_messages="'[]'") + span("scalar") + span("null", chat_messages="null"),
    )
    for no_list in ('{"role": "user", "content": "hello"}', '"hello"', "null"):
        refused(
            database,
            span(chat_messages=f"'{no_list}'"),
            "23514",
            "check_valid_chat_messages",
        )
    accepted(database, "select jsonb_array_length(chat_messages) from raaf.raaf_tracing_spans")


def test_one_index_serves_all_queries_by_agent(database: psycopg.Connection) -> None:
    """Three indexes that begin with the agent's name, each of which every new span has to write."""
    run(
        database,
        "create table original.spans (agent_name text, start_time timestamptz);"
        "create index on original.spans (agent_name);"
        "create index on original.spans (agent_name) where agent_name is not null;"
        "create index on original.spans (agent_name, start_time) where agent_name is not null",
    )
    by_agent = (
        "select indexdef from pg_indexes where indexdef like '%% ' || %s || ' %%(agent_name%%'"
    )
    assert len(database.execute(by_agent, ("original.spans",)).fetchall()) == 3
    ours = database.execute(by_agent, ("ONLY raaf.raaf_tracing_spans",)).fetchall()
    assert len(ours) == 1, f"keep one of {ours}"
    assert "(agent_name, start_time DESC) WHERE (agent_name IS NOT NULL)" in ours[0][0]
    newest = (
        "select from raaf.raaf_tracing_spans where agent_name = 'clerk' order by start_time desc"
    )
    assert "->  Sort" not in plan(database, newest)


@pytest.mark.parametrize(
    ("condition", "served_by"),
    [
        ("execution_metadata ->> 'agent_class' = 'OrderAgent'", "Index Cond"),
        ("""input_context @> '{"data": {"orders": [1]}}'""", "Bitmap Index Scan"),
        ("""output_context @> '{"data": {"late": [2]}}'""", "Bitmap Index Scan"),
        ("""chat_messages @> '[{"role": "user"}]'""", "Bitmap Index Scan"),
    ],
)
def test_documents_are_searched_through_an_index(
    database: psycopg.Connection, condition: str, served_by: str
) -> None:
    """A search for an agent's class that reads the whole table, past three large indexes."""
    run(
        database,
        "create table original.spans (execution_metadata jsonb, input_context jsonb,"
        " output_context jsonb, chat_messages jsonb);"
        "create index on original.spans using gin (input_context, output_context, chat_messages)",
    )
    by_class = "select from original.spans where execution_metadata ->> 'agent_class' = 'x'"
    assert "Seq Scan" in plan(database, by_class)
    ours = plan(database, f"select from raaf.raaf_tracing_spans where {condition}")
    assert served_by in ours
    assert "Seq Scan" not in ours


def test_indexes_of_documents_hold_paths_alone(database: psycopg.Connection) -> None:
    """Three indexes of every key and value, larger than the documents, on each write's way."""
    run(
        database,
        "create table original.spans (input_context jsonb);"
        "create index on original.spans using gin (input_context)",
    )
    whole = """
        select count(*) from pg_indexes
        where schemaname = %s and indexdef like '%%USING gin%%' and indexdef not like '%%_path_ops)'
    """
    assert database.execute(whole, ("original",)).fetchone() == (1,)
    assert database.execute(whole, ("raaf",)).fetchone() == (0,), "index with jsonb_path_ops"


def test_prompts_and_answers_do_not_reach_analytics(
    database: psycopg.Connection, staged_spans: str
) -> None:
    """A customer's name in a report, carried there in a prompt that was kept in clear."""
    run(
        database,
        "create table original.spans (prompt_data jsonb);"
        """insert into original.spans values ('{"text": "ask Ada Lovelace"}')""",
    )
    told = "select count(*) from {} as spans where spans::text like '%Ada Lovelace%'"
    assert value(database, told.format("original.spans")) == 1

    said = '"ask Ada Lovelace"'
    run(
        database,
        span(
            kind="'agent'",
            agent_name="'clerk'",
            prompt_data=f"""'{{"text": {said}}}'""",
            input_context=f"""'{{"data": [{said}]}}'""",
            output_context=f"""'{{"data": [{said}]}}'""",
            chat_messages=f"""'[{{"role": "user", "content": {said}}}]'""",
            execution_metadata=f"""'{{"error_info": {{"message": {said}}}}}'""",
            span_attributes=f"""'{{"agent.initial_user_prompt": {said}}}'""",
            events=f"""'[{{"attributes": {{"exception.message": {said}}}}}]'""",
        ),
    )
    assert value(database, told.format("raaf.raaf_tracing_spans")) == 1
    assert value(database, told.format(f"({staged_spans})")) == 0, "leave it out of staging"
