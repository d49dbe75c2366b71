"""Faults of the original definition of the agentic system: each is shown first, then looked for here."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from faults import (
    accepted,
    acting,
    plan,
    refused,
    refused_by_rule,
    run,
    unindexed_keys,
    value,
)
from raw_rows import EARLIER, EVENT, NOBODY, ONE, ROWS, TWO, insert

if TYPE_CHECKING:
    import psycopg

VERSIONED = ("agents", "agent_sessions")


@pytest.fixture
def agentic(database: psycopg.Connection) -> psycopg.Connection:
    """The file's database with one row in each table of the agentic system."""
    for table, row in ROWS.items():
        if table.startswith("agentic."):
            insert(database, table, row)
    return database


def update(table: str, change: str) -> str:
    """Write an update, which raises the version where the table has one."""
    return f"update {table} set {change}" + ", version = version + 1" * (table in VERSIONED)


def original_sessions(connection: psycopg.Connection, on_delete: str = "") -> None:
    """Make an original agent with one session, whose key has the given rule."""
    run(
        connection,
        "create table original.agents (agent_id int primary key);",
        "create table original.sessions (session_id int primary key,",
        f" agent_id int references original.agents {on_delete});",
        "insert into original.agents values (1);",
        "insert into original.sessions values (1, 1);",
    )


def test_sessions_refer_to_users_by_their_key(agentic: psycopg.Connection) -> None:
    """Sessions cannot be made: the users they refer to are missing, or have another key."""
    session = "create table original.sessions (user_id uuid references original.users (user_id))"
    refused(agentic, session, "42P01")
    run(agentic, "create table original.users (id uuid primary key)")
    refused(agentic, session, "42703")

    refused_by_rule(
        agentic,
        "agentic.agent_sessions",
        update("agent_sessions", f"user_id = '{NOBODY}'"),
        "23503",
        "agent_sessions_user_id_fkey",
    )


def test_embeddings_need_nothing_on_the_search_path(agentic: psycopg.Connection) -> None:
    """Knowledge cannot be stored: the type of its embedding is unknown."""
    run(agentic, "set local search_path = original")
    refused(agentic, "create table knowledge (embedding vector(1536))", "42704")

    run(
        agentic,
        "update agentic.agent_knowledge set embedding = array_fill(1, '{1536}')::public.vector",
    )
    search = "agentic.find_similar_knowledge(array_fill(2, '{1536}')::public.vector)"
    assert value(agentic, f"select agent_id::text from {search}") == ONE


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (f"agent_decisions where session_id = '{ONE}' order by created_at", "session_id_created_at"),
        (f"conversation_history where session_id = '{ONE}' order by created_at", "session_id_created_at"),
        (f"agent_sessions where agent_id = '{ONE}' order by started_at", "agent_id_started_at"),
        (f"agent_audit_log where agent_id = '{ONE}' order by \"timestamp\"", "agent_id_timestamp"),
    ],
)  # fmt: skip
def test_histories_are_read_by_an_index(
    agentic: psycopg.Connection, query: str, index: str
) -> None:
    """Histories have no index: the one proposed is over columns that none of them has."""
    run(agentic, "create table original.decisions (session_id uuid, created_at timestamptz)")
    refused(agentic, "create index on original.decisions (agent_id, created_at)", "42703")

    found = plan(agentic, f"select * from agentic.{query} limit 10")
    assert index in found, f"no index serves this query: {found}"


def test_an_agent_is_switched_off_and_never_deleted(agentic: psycopg.Connection) -> None:
    """An agent can neither be deleted nor retired once it has done anything."""
    original_sessions(agentic, "on delete cascade")
    run(
        agentic,
        "create table original.audit (agent_id int references original.agents);",
        "insert into original.audit values (1);",
    )
    refused(agentic, "delete from original.agents", "23503")

    refused(agentic, "delete from agentic.agents", "23001", "agent_audit_log_agent_id_fkey")
    for role in ("service_role", "agentbooks_loader", "agentbooks_retention"):
        with acting(agentic, role):
            refused(agentic, "delete from agentic.agents", "42501")
    with acting(agentic, "service_role"):
        accepted(agentic, "update agentic.agents set is_active = false, version = version + 1")
    comment = value(agentic, "select obj_description('agentic.agents'::regclass)")
    assert "is_active" in comment, "say in the comment how an agent is retired"


@pytest.mark.parametrize(
    ("table", "column", "word"),
    [
        ("agents", "persona_type", "wizard"),
        ("agent_sessions", "session_state", "expired"),
        ("agent_decisions", "decision_type", "coin_toss"),
        ("agent_decisions", "user_feedback", "liked"),
        ("trust_metrics", "metric_type", "charm"),
        ("agent_knowledge", "knowledge_type", "rumour"),
        ("agent_knowledge", "domain", "astrology"),
        ("conversation_history", "role", "assistant"),
        ("conversation_history", "message_type", "video"),
    ],
)
def test_only_known_words_are_taken(
    agentic: psycopg.Connection, table: str, column: str, word: str
) -> None:
    """A state, role or kind that nobody knows, for the lists stand in comments only."""
    refused_by_rule(
        agentic,
        f"agentic.{table}",
        update(table, f"{column} = '{word}'"),
        "23514",
        f"{table}_{column}_check",
    )


def test_only_known_risks_are_taken(agentic: psycopg.Connection) -> None:
    """A critical action under another word, which no search for critical ones finds."""
    refused_by_rule(
        agentic,
        "agentic.agent_audit_log",
        "insert into agent_audit_log (agent_id, action_type, action_details, risk_level)"
        f" values ('{ONE}', 'deploy', '{{}}', 'CRITICAL')",
        "23514",
        "agent_audit_log_risk_level_check",
    )


@pytest.mark.parametrize(
    ("metric_type", "metric_value"),
    [
        ("accuracy", 999.99),
        ("autonomy", 100.01),
        ("complexity", -50),
        ("complexity", 10.01),
        ("reliability", -0.01),
        ("efficiency", "'NaN'"),
    ],
)
def test_a_metric_is_within_the_range_of_its_type(
    agentic: psycopg.Connection, metric_type: str, metric_value: float | str
) -> None:
    """An accuracy of 1,000 per cent, or a complexity below nothing, decides how far one trusts."""
    refused_by_rule(
        agentic,
        "agentic.trust_metrics",
        f"update trust_metrics set metric_type = '{metric_type}', metric_value = {metric_value}",
        "23514",
        "trust_metrics_value_in_range",
    )


def test_a_metric_has_a_type(agentic: psycopg.Connection) -> None:
    """A measurement of nobody knows what passes the check of ranges, which gives null for it."""
    run(
        agentic,
        "create table original.metrics (type text, value numeric, check"
        " (type = 'accuracy' and value <= 100 or type = 'complexity' and value <= 10))",
    )
    accepted(agentic, "insert into original.metrics values (null, 50)")

    refused(agentic, "update agentic.trust_metrics set metric_type = null", "23502")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("agent_sessions", "agent_id"),
        ("agent_sessions", "trust_level"),
        ("agent_decisions", "session_id"),
        ("trust_metrics", "session_id"),
        ("conversation_history", "session_id"),
    ],
)
def test_everything_belongs_to_something(
    agentic: psycopg.Connection, table: str, column: str
) -> None:
    """A session of no agent, a decision of no session, a session at no level of trust."""
    refused_by_rule(agentic, f"agentic.{table}", update(table, f"{column} = null"), "23502")


def test_rates_are_not_rounded_over_a_threshold(agentic: psycopg.Connection) -> None:
    """A confidence of 0.999 that counts as certain, and a success rate of 999 per cent."""
    run(
        agentic,
        "create table original.decisions",
        " (confidence numeric(3, 2) check (confidence <= 1), rate numeric(3, 2));",
        "insert into original.decisions values (0.999, 9.99);",
    )
    assert value(agentic, "select confidence = 1 from original.decisions")

    run(agentic, "update agentic.agent_decisions set confidence_score = 0.999")
    assert value(agentic, "select confidence_score = 0.999 from agentic.agent_decisions")
    refused(
        agentic,
        "update agentic.agent_knowledge set success_rate = 9.99",
        "23514",
        "agent_knowledge_success_rate_check",
    )


def test_a_success_rate_does_not_drift(agentic: psycopg.Connection) -> None:
    """Knowledge that worked once in 200 uses is said to have worked in 14."""
    run(
        agentic,
        "create table original.knowledge (uses int, rate numeric(3, 2));",
        "insert into original.knowledge values (1, 1);",
        "update agentic.agent_knowledge set usage_count = 1, success_count = 1;",
    )
    for _ in range(199):
        run(
            agentic,
            "update original.knowledge set uses = uses + 1, rate = rate * uses / (uses + 1);",
            "update agentic.agent_knowledge set usage_count = usage_count + 1;",
        )
    assert value(agentic, "select rate * uses from original.knowledge") == 14

    rate = "success_count::numeric / usage_count"
    assert value(agentic, f"select {rate} from agentic.agent_knowledge") == Decimal("0.005")
    refused(
        agentic,
        "update agentic.agent_knowledge set success_count = usage_count + 1",
        "23514",
        "agent_knowledge_success_within_usage",
    )


def test_messages_are_partitioned_by_month(agentic: psycopg.Connection) -> None:
    """Old messages leave by a million deletes, as such keys let no table be partitioned."""
    columns = "id uuid {}, parent_id uuid {}, created_at timestamptz not null"
    partitioned = f"create table original.messages ({columns}) partition by range (created_at)"
    refused(agentic, partitioned.format("primary key", ""), "0A000")
    refused(agentic, partitioned.format("", "references original.messages (id)"), "42830")

    for table in ("agentic.conversation_history", "agentic.agent_decisions"):
        run(agentic, f"select ops.create_month_partitions('{table}', '2020-03-01', '2020-03-31')")
        month = value(agentic, f"select ops.month_partition_name('{table}', '2020-03-01')")
        assert value(agentic, f"select count(*) from agentic.{month}") == 1


@pytest.mark.parametrize(
    ("table", "change", "constraint"),
    [
        (
            "agent_sessions",
            f"session_state = 'completed', ended_at = '{EARLIER}'",
            "agent_sessions_ends_after_start",
        ),
        ("agent_sessions", f"ended_at = '{EVENT}'", "agent_sessions_open_has_no_end"),
        ("agent_decisions", "execution_time_ms = -1", "agent_decisions_execution_time_ms_check"),
        ("agent_knowledge", "usage_count = -1", "agent_knowledge_usage_count_check"),
        ("conversation_history", "tokens_used = -1", "conversation_history_tokens_used_check"),
    ],
)
def test_impossible_values_are_refused(
    agentic: psycopg.Connection, table: str, change: str, constraint: str
) -> None:
    """A session that ended before it began or goes on after its end, a count below zero."""
    refused_by_rule(agentic, f"agentic.{table}", update(table, change), "23514", constraint)


def test_a_change_of_an_agent_is_dated(agentic: psycopg.Connection) -> None:
    """An agent whose abilities were changed says that it is as it was made."""
    run(agentic, "create table original.agents as table agentic.agents")
    for schema, is_dated in (("original", False), ("agentic", True)):
        run(agentic, f"update {schema}.agents set capabilities = '[]', version = version + 1")
        assert value(agentic, f"select updated_at > created_at from {schema}.agents") is is_dated


@pytest.mark.parametrize(
    ("table", "change"), [("agents", "config = '{}'"), ("agent_sessions", "trust_level = 4")]
)
def test_of_two_writers_who_read_the_same_version_one_writes(
    agentic: psycopg.Connection, table: str, change: str
) -> None:
    """Two people change an agent at once, and the change of one is lost without a word."""
    write = f"update {table} set {change}, version = 2;"
    run(agentic, f"create table original.{table} as table agentic.{table}")
    run(agentic, "set local search_path = original")
    accepted(agentic, write + write)
    run(agentic, "set local search_path = agentic")
    accepted(agentic, write)
    refused(agentic, write + write, "AB409")


def test_audit_rows_stay_as_they_were(agentic: psycopg.Connection) -> None:
    """What is called immutable is changed by deleting the user or session it tells of."""
    original_sessions(agentic)
    run(
        agentic,
        "create table original.audit",
        " (session_id int references original.sessions on delete set null);",
        "insert into original.audit values (1);",
        "delete from original.sessions;",
    )
    assert value(agentic, "select session_id is null from original.audit")

    entry = ROWS["agentic.agent_audit_log"] | {"audit_id": TWO, "user_id": ONE}
    insert(agentic, "agentic.agent_audit_log", entry)
    log = "select array_agg(a::text) from agentic.agent_audit_log as a"
    before = value(agentic, log)
    run(agentic, "delete from agentic.agent_sessions; delete from agentic.users;")
    assert value(agentic, log) == before
    for change in (
        "update agentic.agent_audit_log set risk_level = 'low'",
        "delete from agentic.agent_audit_log",
        "truncate agentic.agent_audit_log",
    ):
        refused(agentic, change, "AB405")
        with acting(agentic, "service_role"):
            refused(agentic, change, "42501")


def test_decisions_are_not_expired_by_way_of_their_session(agentic: psycopg.Connection) -> None:
    """Clearing out sessions after 90 days takes along decisions that must be kept for two years."""
    original_sessions(agentic)
    run(
        agentic,
        "create table original.decisions",
        " (session_id int references original.sessions on delete cascade);",
        "insert into original.decisions values (1);",
        "delete from original.sessions;",
    )
    assert value(agentic, "select count(*) from original.decisions") == 0

    with acting(agentic, "agentbooks_retention"):
        refused(agentic, "delete from agentic.agent_sessions", "42501")
        run(agentic, "delete from agentic.conversation_history where created_at < now()")
    assert value(agentic, "select count(*) from agentic.conversation_history") == 0
    assert value(agentic, "select count(*) from agentic.agent_decisions") == 1


def test_a_tenant_sees_its_own_rows(agentic: psycopg.Connection) -> None:
    """Row level security for tenants is promised, and no row says which tenant it belongs to."""
    run(agentic, "create table original.sessions (session_id uuid)")
    refused(
        agentic,
        "create policy own on original.sessions using (tenant_id = current_setting('app.tenant_id'))",
        "42703",
    )

    run(agentic, f"update agentic.agent_sessions set user_id = '{ONE}', version = version + 1")
    tables = (
        "agents",
        "agent_sessions",
        "agent_decisions",
        "conversation_history",
        "trust_metrics",
    )
    for tenant, rows in (("default", 1), ("another", 0)):
        run(agentic, f"set local app.tenant_id = '{tenant}'")
        with acting(agentic, "authenticated", ONE):
            found = [value(agentic, f"select count(*) from agentic.{table}") for table in tables]
        assert found == [rows] * len(tables)


def test_critical_errors_can_be_told(agentic: psycopg.Connection) -> None:
    """A level of trust goes down on a critical error, which no column or key of the log tells."""
    failed = "action_details ->> 'status' = 'failed' and risk_level = 'critical'"
    entry = (
        "insert into agent_audit_log (agent_id, risk_level, action_type, action_details)"
        f" values ('{ONE}', 'critical', 'deploy',"
    )
    refused_by_rule(
        agentic,
        "agentic.agent_audit_log",
        f"""{entry} '{{"status": ["failed"]}}')""",
        "23514",
        "agent_audit_log_action_details_shape",
    )
    run(agentic, f"""{entry} '{{"status": "failed"}}')""")
    assert value(agentic, f"select count(*) from agentic.agent_audit_log where {failed}") == 1


def test_every_key_has_an_index(agentic: psycopg.Connection) -> None:
    """Deleting one session reads every table that refers to it from end to end."""
    original_sessions(agentic)
    assert unindexed_keys(agentic, "original") == ["original.sessions: sessions_agent_id_fkey"]

    assert unindexed_keys(agentic, "agentic") == []


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (f"agent_sessions where agent_id = '{ONE}' and session_state = 'active'", "agent_sessions_active"),
        ("agents where capabilities ? 'review'", "agents_capabilities"),
        ("agent_sessions where context @> '{\"task_id\": \"1\"}'", "agent_sessions_context"),
        ("agent_decisions where input_context @> '{\"file\": \"a\"}'", "input_context_idx"),
        ("agent_knowledge where content @> '{\"language\": \"sql\"}'", "agent_knowledge_content"),
        (
            "agent_knowledge order by embedding <=> array_fill(1, '{1536}')::vector limit 5",
            "agent_knowledge_embedding",
        ),
    ],
)  # fmt: skip
def test_the_indexes_that_were_announced_are_there(
    agentic: psycopg.Connection, query: str, index: str
) -> None:
    """Searches in JSON, by meaning and for active sessions read their whole table."""
    table = query.split()[0]
    run(agentic, f"create table original.{table} as table agentic.{table}")
    run(agentic, "set local search_path = original, public")
    assert "Index" not in plan(agentic, f"select * from {query}")

    run(agentic, "set local search_path = agentic, public")
    found = plan(agentic, f"select * from {query}")
    assert index in found, f"no index serves this query: {found}"
