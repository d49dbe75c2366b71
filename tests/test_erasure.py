"""A person who is erased is nowhere any more, everybody else is where they were, and all sums stay."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from faults import value
from raw_rows import ROWS, insert
from residue import in_files, residue
from test_cold_archive import MARCH, bucket
from typer.testing import CliRunner

from orchestration import cli, cold_archive, erasure
from orchestration.cold_archive import Archive
from orchestration.dbt import PROJECT
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import TestServer

__all__ = ["bucket"]

MONTHLY = (
    "raaf.raaf_tracing_spans",
    "observability.spans",
    "traceability.hook_executions",
    "traceability.endpoint_calls",
    "traceability.pattern_usage_log",
    "chat.chat_messages_v2",
    "agentic.agent_decisions",
    "agentic.conversation_history",
    "agentic.agent_audit_log",
)
TENANT = "default"


@dataclass(frozen=True)
class Person:
    """Somebody with rows in every table; `letter` is in each of their ids."""

    letter: str
    first_name: str

    def row(self, number: int = 1) -> str:
        """Id of a row of theirs."""
        return f"{self.letter * 8}-0000-4000-8000-{number:012}"

    @property
    def id(self) -> str:
        """Their id in the systems that know users by uuids."""
        return f"{self.letter * 8}-0000-4000-8000-{self.letter * 12}"

    @property
    def link(self) -> str:
        """By which other services, and what is below it, call their execution trace."""
        return self.row(5)

    @property
    def user(self) -> str:
        """Their id in the system that knows users by texts."""
        return f"user-{self.first_name}"

    @property
    def email(self) -> str:
        """Their address, by which one system's id leads to another's."""
        return f"{self.first_name}@example.net"

    @property
    def name(self) -> str:
        """Their full name."""
        return f"{self.first_name.title()} Quellwasser"

    @property
    def secret(self) -> str:
        """What they told nobody but their agent."""
        return f"secret of {self.first_name}"

    @property
    def words(self) -> list[str]:
        """What must not be found of them any more."""
        return [self.id, self.user, self.email, self.name, self.secret]

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Rows in every table, with a secret in all that may hold one."""
        one, two, who = self.row(1), self.row(2), self.id
        text, note = self.secret, json.dumps({"note": self.secret})
        embedding = "[" + ",".join(["1"] * 1536) + "]"
        content = json.dumps({"type": "text", "text": text})
        planted: dict[str, dict[str, Any]] = {
            "raaf.raaf_tracing_traces": {
                "trace_id": f"raaf {self.letter}",
                "metadata": json.dumps({"user_id": self.user, "note": text}),
            },
            "raaf.raaf_tracing_spans": {
                "span_id": f"span {self.letter}",
                "trace_id": f"raaf {self.letter}",
                "span_attributes": json.dumps(
                    {
                        "note": text,
                        "llm": {"model": "m", "messages": [text]},
                        "usage.input_tokens": "7",
                    }
                ),
                "events": json.dumps(
                    [
                        {
                            "name": "exception",
                            "attributes": {"exception.type": "E", "exception.message": text},
                        }
                    ]
                ),
                "execution_metadata": json.dumps(
                    {"agent_version": "1", "custom_data": {"note": text}}
                ),
                "status": "error",
            },
            "raaf.raaf_tracing_span_replays": {
                "original_span_id": f"span {self.letter}",
                "system_prompt": note,
                "notes": text,
            },
            "observability.profiles": {
                "id": who,
                "email": self.email,
                "name": self.name,
                "settings": note,
            },
            "observability.workflows": {
                "id": one,
                "user_id": who,
                "name": f"for {self.name}",
                "description": self.email,
            },
            "observability.traces": {
                "trace_id": one,
                "execution_id": f"e {self.letter}",
                "user_id": who,
                "query": text,
                "error": text,
                "metadata": json.dumps({"user_id": who, "domain": "support", "note": text}),
            },
            "observability.spans": {
                "trace_id": one,
                "span_id": one,
                "user_id": who,
                "inputs": note,
                "outputs": note,
                "error": text,
                "error_stack": text,
                "metadata": json.dumps({"payer": "agent", "note": text}),
                "evaluation": json.dumps({"metrics": {"chunk_size": 5}, "note": text}),
            },
            "observability.cost_records": {
                "execution_id": f"e {self.letter}",
                "user_id": who,
                "config": note,
                "metadata": note,
            },
            "observability.cost_aggregations": {"user_id": who, "metadata": note},
            "observability.usage_logs": {"user_id": who, "execution_id": f"e {self.letter}"},
            "traceability.execution_traces": {
                "id": one,
                "correlation_id": self.link,
                "root_id": self.link,
                "session_id": two,
                "user_id": self.user,
                "prompt_text": text,
                "context": note,
                "error_message": text,
            },
            "traceability.agent_routing_decisions": {
                "trace_id": one,
                "id": one,
                "query_text": text,
                "selection_reason": text,
                "query_embedding": embedding,
            },
            "traceability.hook_executions": {
                "trace_id": one,
                "id": one,
                "input_data": note,
                "output_data": json.dumps({"decision": "block", "reason": text}),
                "modifications_made": note,
                "rag_results": note,
                "error_message": text,
                "error_stack": text,
                "file_path": text,
                "metadata": note,
                "quality_results": json.dumps({"quality_score": 0.5, "note": text}),
            },
            "traceability.endpoint_calls": {
                "trace_id": one,
                "id": one,
                "endpoint_url": f"/api?q={text}",
                "request_body": note,
                "response_body": note,
                "headers": note,
                "context": note,
                "error_message": text,
                "rag_query": text,
            },
            "traceability.success_patterns": {
                "id": one,
                "pattern_hash": f"p {self.letter}",
                "source_trace_id": one,
                "prompt_text": text,
                "prompt_embedding": embedding,
                "context": note,
                "keywords": [text],
            },
            "traceability.pattern_usage_log": {
                "pattern_id": one,
                "id": one,
                "trace_id": one,
                "deviations": note,
                "user_feedback": text,
                "metadata": note,
            },
            "traceability.agent_chaining_patterns": {
                "chain_pattern": ["planner", f"coder {self.letter}"],
                "common_triggers": [f"help {self.name}"],
            },
            "traceability.error_patterns": {
                "error_type": f"Error{self.letter}",
                "error_message_pattern": f"no mail to {self.email} sent",
            },
            "chat.users": {
                "id": who,
                "username": self.first_name,
                "full_name": self.name,
                "email": self.email.upper(),
            },
            "chat.agents": {"id": one, "user_id": who, "description": f"helps {self.name}"},
            "chat.workspaces": {"id": one, "name": f"Home of {self.name}", "owner_user_id": who},
            "chat.workspace_members": {"workspace_id": one, "user_id": who},
            "chat.chat_channels": {"id": one, "workspace_id": one, "topic": f"ask {self.email}"},
            "chat.datastores": {
                "id": one,
                "user_id": who,
                "config": json.dumps({"owner": self.email}),
            },
            "chat.agent_datastores": {"agent_id": one, "datastore_id": one},
            "chat.agent_states": {
                "id": one,
                "agent_id": one,
                "local_state": note,
                "session_state": note,
                "persistent_state": json.dumps({"owner": self.name}),
                "state_hash": f"0{self.letter}",
            },
            "chat.state_checkpoints": {"agent_id": one, "state_id": one, "state_data": note},
            "chat.state_transitions": {"agent_id": one, "to_state_id": one, "changes": note},
            "chat.conversation_sessions": {
                "id": one,
                "conversation_id": one,
                "user_id": who,
                "agent_id": one,
                "session_state": note,
                "interruption_context": note,
            },
            "chat.chat_messages": {
                "id": one,
                "channel_id": one,
                "sender_user_id": who,
                "content": text,
                "metadata": note,
                "embedding": embedding,
            },
            "chat.chat_messages_v2": {
                "id": one,
                "conversation_id": one,
                "session_id": one,
                "sender_user_id": who,
                "content": content,
                "metadata": json.dumps({"model": "m", "tokens": 9, "note": text}),
                "tools": note,
                "audit": note,
                "context": json.dumps({"intent": text}),
                "state_snapshot_id": one,
            },
            "chat.message_versions": {
                "session_id": one,
                "message_id": one,
                "content": content,
                "metadata": note,
                "changed_by": who,
                "change_reason": text,
            },
            "chat.agent_memories": {
                "id": one,
                "agent_id": one,
                "source_message_id": one,
                "embeddings": embedding,
                "content": json.dumps({"concept": "person", "definition": text}),
            },
            "chat.memory_consolidations": {
                "agent_id": one,
                "source_memories": [one],
                "consolidated_memory_id": one,
            },
            "chat.context_snapshots": {"message_id": one, "agent_id": one, "snapshot_data": note},
            "chat.context_templates": {
                "name": f"t {self.letter}",
                "description": f"for {self.email}",
            },
            "agentic.users": {"user_id": who, "email": self.email, "full_name": self.name},
            "agentic.agents": {"agent_id": one},
            "agentic.agent_sessions": {
                "session_id": one,
                "agent_id": one,
                "user_id": who,
                "context": json.dumps({"domain": "support", "note": text}),
                "metadata": note,
            },
            "agentic.agent_decisions": {
                "decision_id": one,
                "session_id": one,
                "input_context": note,
                "decision_rationale": text,
                "action_taken": note,
                "metadata": note,
            },
            "agentic.trust_metrics": {"session_id": one, "measurement_context": note},
            "agentic.conversation_history": {
                "message_id": one,
                "session_id": one,
                "content": text,
                "metadata": note,
            },
            "agentic.agent_knowledge": {
                "agent_id": one,
                "content": json.dumps({"likes": f"{self.name} likes tea"}),
                "embedding": embedding,
            },
            "agentic.agent_audit_log": {
                "audit_id": one,
                "agent_id": one,
                "session_id": one,
                "user_id": who,
                "user_agent": text,
                "ip_address": "192.0.2.7",
                "risk_level": "critical",
                "action_details": json.dumps(
                    {"status": "failed", "rollback_available": False, "note": text}
                ),
            },
        }
        for table, row in ROWS.items():
            if table in planted:
                yield table, row | planted[table]

    def delegations(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What hangs under their traces and says itself not whose it is: one is no root, in nobody's tree."""
        nobody, theirs = self.row(12), self.row(14)
        note = {"context": json.dumps({"note": self.secret})}
        for number, link, root, above, more in (
            (11, self.row(11), self.link, self.link, note),
            (12, nobody, nobody, None, {}),
            (13, theirs, nobody, nobody, {"user_id": self.user}),
            (15, self.row(16), nobody, theirs, note),
            (17, self.row(18), nobody, self.row(16), note),
        ):
            yield (
                "traceability.execution_traces",
                ROWS["traceability.execution_traces"]
                | {"id": self.row(number), "correlation_id": link, "root_id": root}
                | {"parent_id": above, "session_id": self.row(19)}
                | more,
            )
            if more is note:
                yield (
                    "traceability.agent_routing_decisions",
                    ROWS["traceability.agent_routing_decisions"]
                    | {"trace_id": self.row(number), "id": self.row(number)}
                    | {"query_text": self.secret},
                )


ANNA, BERT = Person("a", "annalotta"), Person("b", "bertrand")


@pytest.fixture
def world(server18: TestServer) -> Iterator[psycopg.Connection]:
    """Two persons with rows in every table, and what the project itself has noted of them."""
    with psycopg.connect(server18.database(), autocommit=True) as connection:
        connection.execute(
            "select ops.create_month_partitions(partrelid::regclass, %(day)s, %(day)s)"
            " from pg_partitioned_table where partrelid::regclass::text not like 'archive.%%'",
            {"day": MARCH},
        )
        # Anna's tables have them in order; a second generation hangs under both.
        for person in (ANNA, BERT):
            for table, row in (*person.rows(), *person.delegations()):
                insert(connection, table, row)
            connection.execute(
                "insert into ops.late_rows (table_name, row, day, target, period)"
                " values ('observability.traces', %s, %s, 'marts.x', %s)",
                (json.dumps({"trace_id": person.row(), "user_id": person.id}), MARCH, MARCH),
            )
            connection.execute(
                "insert into ops.changes (table_name, keys) values ('observability.traces', %s)",
                (json.dumps({"trace_id": person.row(), "user_id": person.id}),),
            )
            connection.execute(
                "insert into ops.rejected_records values (sha256(%s), 'f', 1, 'no end', %s, 1)",
                (person.user.encode(), f'{{"user": "{person.user}"}}'.encode()),
            )
            connection.execute(
                "insert into ops.legal_holds (subject_id, reason, released_at) values (%s, %s, now())",
                (person.id, f"case of {person.name}"),
            )
        yield connection


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An empty folder."""
    return Archive(str(tmp_path / "archive"))


def all_rows(connection: psycopg.Connection) -> set[tuple[str, str]]:
    """Every row of a raw table or an archive, as text and with its table's name."""
    tables = connection.execute(
        "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace::regnamespace::text"
        " in ('raaf', 'observability', 'traceability', 'chat', 'agentic', 'archive')"
    ).fetchall()
    return {
        (re.sub(r"_y20\d\dm\d\d$|_default$", "", table), row)
        for (table,) in tables
        for (row,) in connection.execute(
            f"select (to_jsonb(t) - 'change_id')::text from {table} as t".encode()
        ).fetchall()
    }


def forget(connection: psycopg.Connection, archive: Archive, *persons: Person) -> int:
    """Erase persons by both of their ids."""
    ids = [of for person in persons for of in (person.id, person.user)]
    number = erasure.erase(connection, archive, ids)
    assert number is not None
    erasure.finish(connection, number)
    return number


def to_warm(connection: psycopg.Connection) -> None:
    """Move months, and what may go by rows, into the archive."""
    for table in MONTHLY[:-1]:
        connection.execute("select ops.archive_month(%s, %s)", (table, MARCH))
    due = {"before": "2030-01-01"}
    for table, clock in {
        "chat.message_versions": "created_at",
        "chat.conversation_sessions": "started_at",
        "chat.chat_messages": "created_at",
        "chat.memory_consolidations": "created_at",
        "chat.agent_memories": "created_at",
        "agentic.trust_metrics": "recorded_at",
        "observability.cost_records": "created_at",
        "observability.usage_logs": "created_at",
        "observability.traces": "started_at",
        "agentic.agent_sessions": "started_at",
        "traceability.agent_routing_decisions": "created_at",
        "traceability.execution_traces": "started_at",
        "raaf.raaf_tracing_traces": "created_at",
    }.items():
        there = value(connection, f"select count(*) from {table}")
        moved = value(
            connection,
            f"select ops.archive_rows('{table}', '{json.dumps(due | {'clock': clock})}')",
        )
        assert moved == there, table


def to_cold(connection: psycopg.Connection, archive: Archive) -> None:
    """Let every month leave for its file."""
    for table in MONTHLY:
        cold_archive.remove_month(connection, archive, table, MARCH)


@pytest.mark.parametrize("place", ["hot", "warm", "cold"])
def test_nothing_is_left_of_a_person_and_all_of_others(
    world: psycopg.Connection, archive: Archive, place: str
) -> None:
    """A column that nobody thought of, an archive that keeps what its table forgot, a neighbour's row."""
    if place == "warm":
        to_warm(world)
    if place == "cold":
        to_cold(world, archive)
    url = archive.url if place == "cold" else None
    assert residue(world, ANNA.words, url), "the negative control"
    before = all_rows(world)
    forget(world, archive, ANNA)
    assert residue(world, ANNA.words, url) == []
    touched = before ^ all_rows(world)
    strangers = [
        (table, row)
        for table, row in touched
        if not re.search(r"aaaaaaaa-|\braaf a|\bspan a|\be a\b|\bp a\b|coder a\b|Errora|t a\"", row)
        and not re.search(r"users$|profiles$", table)
        and "audit_redaction" not in row
    ]
    assert strangers == []
    assert value(world, "select count(*) from agentic.audit_first_broken_link()") == 0
    if place == "cold":
        for table in MONTHLY:
            assert cold_archive.restore_month(world, archive, table, MARCH) in (2, 4)
        assert residue(world, ANNA.words) == []
        assert value(world, "select count(*) from agentic.audit_first_broken_link()") == 0
        restored = {row for table, row in all_rows(world) if table in MONTHLY}
        assert sum("bbbbbbbb" in row or '"span b' in row for row in restored) == len(MONTHLY)


def test_a_file_that_is_older_than_its_tables_columns_forgets_a_person(
    world: psycopg.Connection, archive: Archive
) -> None:
    """An erasure that a later column stops half-way, or that loses the values of one that is gone."""
    world.execute("alter table observability.spans add column price numeric default 1.5")
    world.execute("select ops.sync_archives()")
    to_cold(world, archive)
    world.execute("drop view history.observability__spans")
    for table in ("observability.spans", "archive.observability__spans"):
        for change in (
            "add column region text not null default 'eu'",
            "alter column price type numeric(30,12)",
            "rename column inputs to input_payload",
        ):
            world.execute(f"alter table {table} {change}".encode())
    before = residue(world, ANNA.words, archive.url)
    with pytest.raises(
        AgentbooksError, match=r"2020-03 of observability\.spans has values of inputs"
    ):
        forget(world, archive, ANNA)
    assert residue(world, ANNA.words, archive.url) == before, "nothing was touched"
    for table in ("observability.spans", "archive.observability__spans"):
        world.execute(f"alter table {table} rename column input_payload to inputs".encode())
    world.execute("select ops.sync_archives()")
    forget(world, archive, ANNA)
    assert residue(world, ANNA.words, archive.url) == []
    cold_archive.restore_month(world, archive, "observability.spans", MARCH)
    assert value(world, "select array_agg(distinct price::text) from observability.spans") == [
        "1.500000000000"
    ]


def test_the_registry_names_every_column(raw: psycopg.Connection) -> None:
    """A new table, or a column of texts, that an erasure passes by."""
    tables = {
        table
        for (table,) in raw.execute(
            "select ops.relation_name(oid) from pg_class where relkind in ('r', 'p') and not relispartition"
            " and relnamespace::regnamespace::text"
            " in ('raaf', 'observability', 'traceability', 'chat', 'agentic', 'ops')"
        ).fetchall()
    }
    declared = {
        row[0]: row[1:]
        for row in raw.execute(
            "select table_name, fate, person_columns,"
            " array(select column_name from ops.payload_parts(blanked)),"
            " array(select jsonb_object_keys(shaped)), scrubbed, kept from ops.personal_data"
        ).fetchall()
    }
    tables -= {"ops.pooled_models"}
    assert tables == set(declared), "declare it in ops.personal_data"
    columns: dict[str, set[str]] = {}
    for table, column, is_telling in raw.execute(
        "select ops.relation_name(attrelid), attname, attname <> 'tenant_id' and ("
        " format_type(atttypid, null) ~ '^(text|character varying|json|bytea|inet|public.vector|uuid\\[\\])'"
        " or atttypid = 'uuid'::regtype and attname ~ 'user|changed_by')"
        " from pg_attribute where attrelid = any(%s::regclass[]) and attnum > 0 and not attisdropped",
        (sorted(tables),),
    ).fetchall():
        columns.setdefault(table, set())
        if is_telling:
            columns[table].add(column)
    missing = {
        table: sorted(names - set().union(*map(set, declared[table][1:])))
        for table, names in columns.items()
        if declared[table][0] in ("blank", "keep") and not table.startswith("ops.")
    }
    assert {table: names for table, names in missing.items() if names} == {}


def test_what_staging_reads_of_span_attributes_is_kept(raw: psycopg.Connection) -> None:
    """An attribute that a model begins to read, and that is gone from whatever was erased."""
    model = (PROJECT / "models" / "staging" / "raaf" / "stg_raaf__spans.sql").read_text()
    read = set(re.findall(r'"((?:[a-z_]+\.)*[a-z_]+)"', model)) - {
        "raaf",
        "raaf_tracing_spans",
        "exception",
        "status",
    }
    kept = raw.execute(
        "select p.kept_keys from ops.personal_data as d cross join ops.payload_parts(d.blanked) as p"
        " where d.table_name = 'raaf.raaf_tracing_spans' and p.column_name = 'span_attributes'"
    ).fetchone()
    assert kept is not None
    assert read - set(kept[0]) == {"exception.type"}, "which stays in events"


def test_what_models_read_stays(world: psycopg.Connection, archive: Archive) -> None:
    """Tokens, verdicts and kinds of errors that go with the texts around them."""
    forget(world, archive, ANNA)
    for query, expected in {
        "select metadata from observability.spans where span_id = %s": {"payer": "agent"},
        "select evaluation from observability.spans where span_id = %s": {
            "metrics": {"chunk_size": 5}
        },
        "select metadata from observability.traces where trace_id = %s": {
            "user_id": "erased",
            "domain": "support",
        },
        "select content from chat.chat_messages_v2 where id = %s": {"type": "text"},
        "select metadata from chat.chat_messages_v2 where id = %s": {"model": "m", "tokens": 9},
        "select output_data from traceability.hook_executions where id = %s": {"decision": "block"},
        "select context from agentic.agent_sessions where session_id = %s": {"domain": "support"},
        "select action_details from agentic.agent_audit_log where audit_id = %s": {
            "status": "failed",
            "rollback_available": False,
        },
    }.items():
        row = world.execute(query.encode(), (ANNA.row(),)).fetchone()
        assert row is not None, query
        assert row[0] == expected, query
    assert value(
        world, "select span_attributes from raaf.raaf_tracing_spans where span_id = 'span a'"
    ) == {
        "llm": {"model": "m"},
        "usage.input_tokens": "7",
    }
    assert value(
        world, "select user_id::text from observability.traces where execution_id = 'e a'"
    ) == ("ffffffff-ffff-ffff-ffff-ffffffffffff")
    assert (
        value(world, f"select user_id from traceability.execution_traces where id = '{ANNA.row()}'")
        == "erased"
    )
    assert value(world, "select count(*) from chat.agents where id::text like 'a%'") == 1, (
        "others use it"
    )


def test_a_plan_touches_nothing(world: psycopg.Connection, archive: Archive) -> None:
    """A dry run that leaves ids in a table, or a receipt that says what was not done."""
    to_cold(world, archive)
    before = residue(world, [*ANNA.words, *BERT.words], archive.url)
    rows = all_rows(world)
    lines: list[str] = []
    assert (
        erasure.erase(world, archive, [ANNA.id, ANNA.user], is_dry_run=True, tell=lines.append)
        is None
    )
    assert "chat.agent_memories: delete 1 rows" in lines
    assert any(line.endswith("spans/2020-03.parquet: written anew for 1 rows") for line in lines)
    assert residue(world, [*ANNA.words, *BERT.words], archive.url) == before
    assert all_rows(world) == rows
    assert value(world, "select count(*) from ops.erasures") == 0


def test_a_plan_of_what_is_erased_finishes_nothing(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run that runs dbt, and closes an erasure whose marts were to wait."""
    number = erasure.erase(world, archive, [ANNA.id])
    monkeypatch.setenv("AGENTBOOKS_DATABASE_URL", world.info.dsn)
    told = CliRunner().invoke(cli.app, ["erase", "--subject", ANNA.id, "--dry-run"]).output
    assert f"agentbooks erase --receipt {number}" in told
    assert value(world, "select array_agg(state) from ops.erasures") == ["refreshing"]


def test_the_receipt_names_nobody_and_can_be_asked_for_again(
    world: psycopg.Connection, archive: Archive
) -> None:
    """A proof of an erasure that is itself personal data, or is lost with the terminal."""
    to_cold(world, archive)
    world.execute("insert into ops.backups values ('nightly', 's3://backups', '35 days')")
    number = forget(world, archive, ANNA)
    lines = list(erasure.receipt(world, number))
    told = "\n".join(lines)
    assert not any(word.lower() in told.lower() for word in ANNA.words)
    assert "chat.users: delete 1 rows" in lines
    assert re.search(
        r"spans/2020-03\.parquet: replaced 1 rows, sha256 \w{64}, now .*\.parquet, sha256 \w{64}",
        told,
    )
    assert re.search(r"Not reached: nightly at s3://backups until 20\d\d-\d\d-\d\d\.", told)
    assert "erased stands for 2 ids" in told
    assert erasure.erase(world, archive, [ANNA.user]) == number, "asked for again, it is the same"
    assert value(world, "select count(*) from ops.erasure_keys") == 0


def test_who_comes_back_is_erased_again(world: psycopg.Connection, archive: Archive) -> None:
    """A request that is taken for an old one, while somebody has written of the person since."""
    first = forget(world, archive, ANNA)
    late = ROWS["traceability.execution_traces"] | {
        "user_id": ANNA.user,
        "prompt_text": ANNA.secret,
    }
    insert(world, "traceability.execution_traces", late)
    assert forget(world, archive, ANNA) > first
    assert residue(world, ANNA.words) == []


def test_who_is_unknown_or_known_to_two_tenants_is_told(
    world: psycopg.Connection, archive: Archive
) -> None:
    """A slip of the pen that erases nobody and says it is done; another tenant's user of the same id."""
    before = all_rows(world)
    with pytest.raises(
        AgentbooksError, match=r"^erase: nobody is known as user-nobody; check the id\.$"
    ):
        erasure.erase(world, archive, ["user-nobody", ANNA.id])
    with pytest.raises(AgentbooksError, match=r"^erase: an id is empty; name a person"):
        erasure.erase(world, archive, [" ", ANNA.id])
    insert(
        world,
        "traceability.execution_traces",
        ROWS["traceability.execution_traces"] | {"user_id": ANNA.user, "tenant_id": "other"},
    )
    with pytest.raises(AgentbooksError, match="tenants default and other know user-annalotta"):
        erasure.erase(world, archive, [ANNA.user])
    with pytest.raises(AgentbooksError, match="nobody is known as user-annalotta in tenant third"):
        erasure.erase(world, archive, [ANNA.user], "third")
    assert all_rows(world) - before == {
        row for row in all_rows(world) if '"tenant_id": "other"' in row[1]
    }
    erasure.erase(world, archive, [ANNA.user], TENANT)
    assert (
        value(world, "select user_id from traceability.execution_traces where tenant_id = 'other'")
        == ANNA.user
    )


QUOTED_NAME = 'Lotta "Lo" M\u00fcller'
MENTIONS = (
    f"People:\n{ANNA.email}\n{ANNA.name}",
    f"met {QUOTED_NAME} twice",
    {"arguments": json.dumps({"to": f"cc:\n{ANNA.email}", "name": QUOTED_NAME})},
    {"arguments": json.dumps({"name": f"\u201c{QUOTED_NAME}\u201d"}, ensure_ascii=False)},
    {ANNA.user: {"steps": [42, 0.7, "7 of 42", None, f'"{ANNA.id}"']}},
)


@pytest.mark.parametrize("place", ["hot", "cold"])
def test_a_mention_is_found_however_it_is_quoted(
    world: psycopg.Connection, archive: Archive, place: str
) -> None:
    """A new line, a quote or a letter beyond ASCII, escaped in a document, that hides a person."""
    world.execute("update chat.users set full_name = %s where id = %s", (QUOTED_NAME, ANNA.id))
    document = {"concept": "c", "definition": "d", "mentions": MENTIONS}
    world.execute(
        "update chat.agent_memories set content = %s, embeddings = array_fill(1, array[1536]) where id = %s",
        (json.dumps(document), BERT.row()),
    )
    world.execute(
        "update agentic.agent_knowledge set content = %s where agent_id = %s",
        (json.dumps(document), BERT.row()),
    )
    world.execute(
        "update traceability.success_patterns set keywords = %s, prompt_text = %s where source_trace_id = %s",
        ([MENTIONS[0], MENTIONS[1], "tea"], json.dumps(document), BERT.row()),
    )
    if place == "cold":
        world.execute(
            "select ops.archive_rows('chat.agent_memories', %s)",
            (json.dumps({"before": "2030-01-01", "clock": "created_at"}),),
        )
        cold_archive.remove_month(world, archive, "chat.agent_memories", MARCH)
    url = archive.url if place == "cold" else None
    assert "agent_memories" in str(residue(world, [QUOTED_NAME], url)), "the negative control"
    forget(world, archive, ANNA)
    assert residue(world, [*ANNA.words, QUOTED_NAME], url) == []
    if place == "hot":
        # It was computed from the text with the person.
        assert value(
            world, f"select embeddings is null from chat.agent_memories where id = '{BERT.row()}'"
        )
    kept = value(
        world, f"select content from agentic.agent_knowledge where agent_id = '{BERT.row()}'"
    )
    assert kept["mentions"][0] == "People:\nerased\nerased"
    assert kept["mentions"][1] == "met erased twice"
    assert kept["mentions"][4] == {"erased": {"steps": [42, 0.7, "7 of 42", None, '"erased"']}}
    assert value(
        world,
        f"select keywords from traceability.success_patterns where source_trace_id = '{BERT.row()}'",
    ) == ["People:\nerased\nerased", "met erased twice", "tea"]


@pytest.mark.parametrize("number", ["42", "7", "u1"])
def test_an_id_that_is_no_word_changes_no_text_of_others(
    world: psycopg.Connection, archive: Archive, number: str
) -> None:
    """A person known by a number, who cannot be erased while anybody counts, or takes all numbers along."""
    texts = {"retries": 42, "cost": "step 7 of u1 costs 0.7 USD, 42 times"}
    world.execute("update agentic.agent_knowledge set content = %s", (json.dumps(texts),))
    world.execute(
        "insert into ops.rejected_records values (sha256('x'), 'f', 2, 'no end', '[1742, \"u12\"]', 1)"
    )
    world.execute(
        "update traceability.execution_traces set user_id = %s where user_id = %s",
        (number, ANNA.user),
    )
    lines: list[str] = []
    erasure.erase(world, archive, [number], tell=lines.append)
    assert not value(
        world, f"select count(*) from traceability.execution_traces where user_id = '{number}'"
    )
    assert residue(world, [ANNA.secret]) != residue(world, [BERT.secret])
    assert value(world, "select array_agg(distinct content) from agentic.agent_knowledge") == [
        texts
    ]
    assert value(
        world,
        "select octet_length(record_head) > 0 from ops.rejected_records where source_line = 2",
    )
    assert "Ids that are numbers or too short: 1." in lines[1]


HOLDS: dict[str, tuple[Any, ...]] = {
    "the person": (ANNA.id, None, None, None, (None, None)),
    "the person in a table": (ANNA.id, None, None, "raaf.raaf_tracing_traces", (None, None)),
    "the person in another year": (
        ANNA.id,
        None,
        None,
        None,
        (date(2019, 1, 1), date(2019, 12, 31)),
    ),
    "a session": (None, ANNA.row(), None, None, (None, None)),
    "a trace": (None, None, ANNA.row(), None, (None, None)),
    "days": (None, None, None, None, (MARCH, MARCH)),
    "days of a table": (None, None, None, "observability.spans", (MARCH, MARCH)),
    "days of a table in one piece": (
        None,
        None,
        None,
        "observability.cost_records",
        (MARCH, MARCH),
    ),
}


@pytest.mark.parametrize("place", ["hot", "cold"])
@pytest.mark.parametrize("hold", HOLDS)
def test_a_hold_beats_erasure_until_it_is_released(
    world: psycopg.Connection, archive: Archive, hold: str, place: str
) -> None:
    """Evidence that is destroyed by a request to be forgotten."""
    if place == "cold":
        to_cold(world, archive)
    number = erasure.place_hold(world, *HOLDS[hold], "case 7")
    before, files = (
        all_rows(world),
        residue(world, ANNA.words, archive.url if place == "cold" else None),
    )
    with pytest.raises(
        AgentbooksError, match=rf"^erase: legal hold {number} covers .*; nothing was touched"
    ):
        erasure.erase(world, archive, [ANNA.id, ANNA.user])
    assert all_rows(world) == before
    assert residue(world, ANNA.words, archive.url if place == "cold" else None) == files
    assert erasure.erase(world, archive, [BERT.id, BERT.user]) if "days" not in hold else True
    erasure.release_hold(world, number)
    forget(world, archive, ANNA)
    assert residue(world, ANNA.words, archive.url if place == "cold" else None) == []


def test_another_tenants_user_of_the_same_id_stays_known(
    world: psycopg.Connection, archive: Archive
) -> None:
    """A hold on somebody's rows in files that finds them no more, as another tenant's user was erased."""
    to_cold(world, archive)
    namesake = ROWS["observability.traces"] | {
        "trace_id": BERT.row(9),
        "execution_id": "e other",
        "tenant_id": "other",
        "metadata": json.dumps({"user_id": ANNA.id, "note": ANNA.secret}),
    }
    insert(world, "observability.traces", namesake)
    noted = "select array_agg(t::text order by t::text) from {} as t"
    before = [value(world, noted.format(name)) for name in ("ops.departed_keys", "ops.legal_holds")]
    assert erasure.erase(world, archive, [ANNA.id], "other")
    assert before == [
        value(world, noted.format(name)) for name in ("ops.departed_keys", "ops.legal_holds")
    ]
    assert (
        value(world, "select metadata from observability.traces where tenant_id = 'other'")[
            "user_id"
        ]
        == "erased"
    ), "the negative control"


def test_no_hold_is_placed_while_an_erasure_is_at_work(
    world: psycopg.Connection,
    archive: Archive,
    connect: Callable[[str], psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hold that is said to be in force, on rows that are gone a moment later."""
    clerk, erase_rows = connect(world.info.dsn), erasure._erase_rows

    def meanwhile(*arguments: Any) -> None:
        with pytest.raises(AgentbooksError, match=r"^hold: an erasure is at work, .*has ended\.$"):
            erasure.place_hold(clerk, *HOLDS["the person"], "case 7")
        erase_rows(*arguments)

    monkeypatch.setattr(erasure, "_erase_rows", meanwhile)
    forget(world, archive, ANNA)
    assert erasure.place_hold(clerk, *HOLDS["days"], "case 7")


def test_a_hold_on_what_is_half_erased_says_so(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A court that is told nothing was touched, when half of it is gone."""
    erase_in, calls = erasure._erase_in, iter(range(9))

    def cut_short(*arguments: Any) -> int:
        if next(calls) == 8:
            raise KeyboardInterrupt
        return erase_in(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "_erase_in", cut_short)
        with pytest.raises(KeyboardInterrupt):
            forget(world, archive, ANNA)
    before = all_rows(world)
    erasure.place_hold(world, *HOLDS["the person"], "case 7")
    with pytest.raises(
        AgentbooksError,
        match="nothing was touched beyond what erasure 1 did before it was cut short,",
    ):
        forget(world, archive, ANNA)
    assert all_rows(world) == before


def test_overlapping_holds_are_refused(world: psycopg.Connection) -> None:
    """Two holds of which one is released, while the other was thought to be the same."""

    def place(
        first: str | None, last: str | None, subject: str | None = "u", table: str | None = None
    ) -> int:
        days = (first and date.fromisoformat(first), last and date.fromisoformat(last))
        return erasure.place_hold(world, subject, None, None, table, days, "case 7")

    first = place("2020-03-01", "2020-03-31")
    for days in [("2020-03-31", "2020-04-30"), (None, None), ("2020-03-05", "2020-03-06")]:
        with pytest.raises(
            AgentbooksError, match=rf"^hold: hold {first} holds the same from 2020-03-01 to"
        ):
            place(*days)
    assert place("2020-04-01", "2020-04-30") > first
    for wrong, sentence in {
        ("2020-04-02", "2020-04-01"): "a last day that is not before it",
        ("2020-04-02", None): "a last day that is not before it",
    }.items():
        with pytest.raises(AgentbooksError, match=sentence):
            place(*wrong)
    with pytest.raises(
        AgentbooksError, match="a hold needs a subject, a session, a trace or a period"
    ):
        place(None, None, None)
    with pytest.raises(AgentbooksError, match=r"there is no raw table observability\.nothing"):
        place(None, None, "u", "observability.nothing")
    for number in (99, 10**20):
        with pytest.raises(AgentbooksError, match=rf"^hold: no hold {number} is in force\.$"):
            erasure.release_hold(world, number)
    place(None, None, "v")
    with pytest.raises(
        AgentbooksError, match=r"^hold: hold \d+ holds the same already, on all days\.$"
    ):
        place(None, None, "v")


@pytest.mark.parametrize("empty", ["", " "])
def test_a_hold_on_nothing_is_refused(world: psycopg.Connection, empty: str) -> None:
    """A variable of a script that is not set, and a hold in force that holds nothing."""
    for place in range(4):
        what = [empty if n == place else named for n, named in enumerate(["u", None, None, None])]
        with pytest.raises(AgentbooksError, match="is empty; name it, or leave it out"):
            erasure.place_hold(world, *what, (None, None), "case 7")
    with pytest.raises(AgentbooksError, match="a hold needs a reason"):
        erasure.place_hold(world, "u", None, None, None, (None, None), empty)


def test_payloads_under_a_hold_stay(world: psycopg.Connection) -> None:
    """Prompts that retention blanks although a court has asked for them."""
    due = json.dumps({"clock": "started_at", "before": "2030-01-01"})
    strip = (
        f"select stripped from ops.strip_payloads('observability.spans', 'inputs outputs', '{due}')"
    )
    erasure.place_hold(world, ANNA.id, None, None, None, (None, None), "case 7")
    assert value(world, strip) == 1
    assert value(
        world, "select inputs is not null from observability.spans where span_id::text like 'a%'"
    )
    assert not value(
        world, "select inputs is not null from observability.spans where span_id::text like 'b%'"
    )


NOT_HELD = """
select count(*) from {table} as h
where ({tied}) and (select {held} from (select h.*) as r) is not true
"""
HELD_TOO = "select count(*) from {table} as r where ({held}) and r::text like '%{secret}%'"


def condition(connection: psycopg.Connection, table: str, hold: int) -> str:
    """What a hold covers of a table, as SQL."""
    found: str = value(
        connection,
        f"select ops.hold_condition('{table}', h) from ops.legal_holds as h where hold_id = {hold}",
    )
    return found


@pytest.mark.parametrize("place", ["hot", "warm"])
@pytest.mark.parametrize("subject", [ANNA.id, ANNA.user])
def test_a_hold_covers_all_that_an_erasure_would_find(
    world: psycopg.Connection, subject: str, place: str
) -> None:
    """Evidence that is taken away, as the hold knows less of what is a person's than an erasure does."""
    if place == "warm":
        to_warm(world)
    hold = erasure.place_hold(world, subject, None, None, None, (None, None), "case 7")
    number = value(world, f"select ops.open_erasure('{{{subject}}}', 'default')")
    while value(world, f"select ops.find_erasure_keys({number})"):
        pass
    ties = world.execute(
        "select d.table_name, string_agg(ops.tie_condition(d.table_name::regclass,"
        " split_part(tie, ' = ', 1), split_part(tie, ' = ', 2), %s, null), ' or ')"
        " from ops.personal_data as d cross join unnest(ties) as tie group by 1",
        (number,),
    ).fetchall()
    for name, tied in ties:
        held, view = condition(world, name, hold), "history." + name.replace(".", "__", 1)
        found = value(world, NOT_HELD.format(table=view, tied=tied, held=held))
        assert found == 0, f"{name}: extend ops.held_by"
        assert value(world, HELD_TOO.format(table=view, held=held, secret=BERT.secret)) == 0, name


@pytest.mark.parametrize(
    ("hold", "tables"),
    [
        (
            (None, None, ANNA.row()),
            ["observability.traces", "observability.cost_records", "raaf.raaf_tracing_spans"],
        ),
        (
            (None, None, ANNA.row(11)),
            ["traceability.execution_traces", "traceability.hook_executions"],
        ),
        ((None, ANNA.row(), None), ["chat.conversation_sessions", "chat.context_snapshots"]),
        ((None, None, "raaf a"), ["raaf.raaf_tracing_traces", "raaf.raaf_tracing_spans"]),
    ],
)
def test_a_hold_covers_the_trace_or_session_itself_and_what_hangs_under_it(
    world: psycopg.Connection, hold: tuple[Any, ...], tables: list[str]
) -> None:
    """A trace that is held by an id of its own, and stripped as no column is called like that."""
    number = erasure.place_hold(world, *hold, None, (None, None), "case 7")
    for table in tables:
        held = condition(world, table, number)
        count = value(world, f"select count(*) from {table} as r where {held}")
        is_raaf = table.startswith("raaf.")
        assert count == (
            0 if is_raaf and hold[2] == ANNA.row() else 1 + table.endswith("execution_traces")
        )


def test_a_hold_covers_files_of_all_that_is_tied_to_a_person(
    world: psycopg.Connection, archive: Archive
) -> None:
    """Files that are purged under a hold, as what leads to them is still here or has gone before them."""
    to_cold(world, archive)
    holds = [
        erasure.place_hold(world, subject, None, None, None, (None, None), "case 7")
        for subject in (ANNA.id, ANNA.user)
    ]
    for table in MONTHLY:
        found = value(
            world, f"select array_agg(h) from ops.holds_on_departed('{table}', '{MARCH}') as h"
        )
        assert found, table
        assert set(found) <= set(holds)
    nobody = erasure.place_hold(world, "nobody", None, None, None, (None, None), "case 8")
    assert erasure.under_hold(world, nobody) == "0 rows in the database"
    assert re.search(r"database, and [4-9] months that lie in", erasure.under_hold(world, holds[1]))


def test_a_hold_that_comes_while_payloads_wait_to_be_blanked_keeps_them(
    world: psycopg.Connection,
) -> None:
    """Payloads that are blanked by what holds said before the lock was waited for."""
    due = json.dumps({"clock": "started_at", "before": "2030-01-01"})
    with ThreadPoolExecutor() as threads, psycopg.connect(world.info.dsn) as refresh:
        refresh.execute("select pg_advisory_xact_lock_shared(hashtextextended('ops.lifecycle', 0))")

        def waiting(statement: str) -> Any:
            with psycopg.connect(world.info.dsn, autocommit=True) as connection:
                return value(connection, statement)

        started = []
        for statement in (
            f"select ops.place_hold('{ANNA.id}', null, null, null, null, null, 'case 7')",
            f"select stripped from ops.strip_payloads('observability.spans', 'inputs outputs', '{due}')",
        ):
            started.append(threads.submit(waiting, statement))
            while value(world, "select count(*) from pg_locks where not granted") < len(started):
                time.sleep(0.01)
        refresh.rollback()
        assert started[1].result() == 1
    assert value(
        world, "select inputs is not null from observability.spans where span_id::text like 'a%'"
    )


HELD_BACK = (
    "select agentic.redact_audit_entry(session_id, audit_id, 'r') from agentic.agent_audit_log"
    " where audit_id::text like 'a%'",
    "select observability.cleanup_old_traces()",
    "select * from traceability.cleanup_old_data(p_dry_run => false)",
)


@pytest.mark.parametrize("statement", HELD_BACK)
def test_what_deletes_by_hand_asks_for_holds_too(world: psycopg.Connection, statement: str) -> None:
    """A clean-up of the documents that takes what retention and erasure leave alone."""
    before = all_rows(world)
    number = erasure.place_hold(world, ANNA.id, None, None, None, (None, None), "case 7")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=f"legal hold {number} "):
        world.execute(statement.encode())
    assert all_rows(world) == before
    erasure.release_hold(world, number)
    world.execute(statement.encode())
    assert all_rows(world) != before, "the negative control"


KILLED = """
import os, signal, sys
import psycopg
from orchestration import erasure
from orchestration.cold_archive import Archive
from orchestration.dbt import PROJECT

step, calls = int(sys.argv[4]), 0

def traced(frame, event, arg):
    global calls
    if event in ("call", "return") and frame.f_code.co_filename.endswith(("erasure.py", "cold_archive.py")):
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)

with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    sys.setprofile(traced)
    erasure.erase(connection, Archive(sys.argv[2]), sys.argv[3].split(","))
    sys.setprofile(None)
print(calls)
"""


def run(world: psycopg.Connection, archive: Archive, step: int) -> subprocess.CompletedProcess[str]:
    """Erase Anna in another process, which is killed at a step."""
    ids = f"{ANNA.id},{ANNA.user}"
    return subprocess.run(
        [sys.executable, "-c", KILLED, world.info.dsn, archive.url, ids, str(step)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_erasure_killed_at_any_step_is_taken_up_by_the_next(
    world: psycopg.Connection, archive: Archive
) -> None:
    """Somebody half forgotten, of whom no id is left by which the rest could be found."""
    to_cold(world, archive)
    killed = 0
    for step in (60, 400, 900, 1300, 1700, 2100, 2500, 2900, 3300):
        ended = run(world, archive, step)
        if ended.returncode != -signal.SIGKILL:
            assert ended.returncode == 0, ended.stderr
            break
        killed += 1
    assert killed > 3, "the negative control"
    number = forget(world, archive, ANNA)
    assert residue(world, ANNA.words, archive.url) == []
    assert value(world, "select count(*) from ops.erasures") == 1
    assert value(world, f"select state from ops.erasures where erasure_id = {number}") == "done"
    for table in MONTHLY:
        cold_archive.restore_month(world, archive, table, MARCH)
    assert residue(world, ANNA.words) == []


def test_no_month_comes_or_goes_while_an_erasure_is_at_work(
    world: psycopg.Connection,
    archive: Archive,
    connect: Callable[[str], psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A month that leaves between the look at files and that at rows, and takes the person along."""
    clerk, erase_rows = connect(world.info.dsn), erasure._erase_rows
    clerk.execute("set lock_timeout = '50ms'")

    def meanwhile(*arguments: Any) -> None:
        for step in (
            cold_archive.export_month,
            cold_archive.remove_month,
            cold_archive.restore_month,
        ):
            with pytest.raises(AgentbooksError, match="lock timeout"):
                step(clerk, archive, "observability.spans", MARCH)
        with pytest.raises(AgentbooksError, match="lock timeout"):
            cold_archive.purge_month(clerk, archive, "observability.spans", MARCH, "a test")
        erase_rows(*arguments)

    monkeypatch.setattr(erasure, "_erase_rows", meanwhile)
    forget(world, archive, ANNA)
    assert cold_archive.remove_month(clerk, archive, "observability.spans", MARCH).rows == 2
    assert residue(world, ANNA.words, archive.url) == []


def test_a_file_that_is_another_meanwhile_is_not_replaced(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that came with a newer file, and are in none after the old one was written anew."""
    cold_archive.remove_month(world, archive, "observability.spans", MARCH)
    put_proven = Archive.put_proven

    def meanwhile(*arguments: Any) -> None:
        put_proven(*arguments)
        world.execute("update ops.archive_files set sha256 = repeat('0', 64)")

    monkeypatch.setattr(Archive, "put_proven", meanwhile)
    with pytest.raises(
        AgentbooksError, match=r"^erase: .*2020-03\.parquet is not the file any more that was read;"
    ):
        forget(world, archive, ANNA)
    assert value(world, "select url from ops.archive_files").endswith("/2020-03.parquet")


def test_what_leaves_again_before_an_erasure_goes_on_stays(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only file of a month, deleted as it has the name of one that was to go."""
    table = "observability.spans"
    cold_archive.remove_month(world, archive, table, MARCH)
    with monkeypatch.context() as patched:
        patched.setattr(erasure, "_delete_replaced", lambda *_: None)
        patched.setattr(erasure, "_erase_rows", cut_short)
        with pytest.raises(KeyboardInterrupt):
            forget(world, archive, ANNA)
    cold_archive.restore_month(world, archive, table, MARCH)
    late = dict(ANNA.rows())[table] | {"span_id": ANNA.row(2)}
    insert(world, table, late)
    cold_archive.remove_month(world, archive, table, MARCH)
    forget(world, archive, ANNA)
    assert residue(world, ANNA.words, archive.url) == []
    assert cold_archive.restore_month(world, archive, table, MARCH) == 3


def cut_short(*_: Any) -> None:
    """Be killed."""
    raise KeyboardInterrupt


def dies_before_it_names_the_file(
    world: psycopg.Connection, archive: Archive, patched: pytest.MonkeyPatch
) -> None:
    """Leave a file under its temporary name."""
    patched.setattr(Archive, "rename", cut_short)
    cold_archive.remove_month(world, archive, "observability.spans", MARCH)


def dies_before_it_enters_the_file(
    world: psycopg.Connection, archive: Archive, patched: pytest.MonkeyPatch
) -> None:
    """Leave a file that the database does not know."""
    rename = Archive.rename
    patched.setattr(Archive, "rename", lambda *names: cut_short(rename(*names)))
    cold_archive.remove_month(world, archive, "observability.spans", MARCH)


def dies_at_the_second_export(
    world: psycopg.Connection, archive: Archive, patched: pytest.MonkeyPatch
) -> None:
    """Leave the file of the first as one that was written."""
    cold_archive.export_month(world, archive, "observability.spans", MARCH)
    patched.setattr(Archive, "put", cut_short)
    cold_archive.export_month(world, archive, "observability.spans", MARCH)


def dies_before_it_deletes_what_is_purged(
    world: psycopg.Connection, archive: Archive, patched: pytest.MonkeyPatch
) -> None:
    """Leave a file for which there is a receipt."""
    cold_archive.remove_month(world, archive, "observability.spans", MARCH)
    world.execute("update ops.departures set removed_at = removed_at - interval '8 days'")
    patched.setattr(Archive, "remove", cut_short)
    cold_archive.purge_month(world, archive, "observability.spans", MARCH, "a test")


def dies_before_it_deletes_what_it_encrypted(
    world: psycopg.Connection, archive: Archive, patched: pytest.MonkeyPatch
) -> None:
    """Leave a file in clear beside its successor."""
    del patched
    file = cold_archive.remove_month(world, archive, "observability.spans", MARCH)
    old = file.url.replace("2020-03", "2020-03.old")
    cold_archive.note_loose_files(world, file.table, MARCH, [old])
    with archive.fetched(file.url) as local:
        archive.put(local, old)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "leave",
    [
        dies_before_it_names_the_file,
        dies_before_it_enters_the_file,
        dies_at_the_second_export,
        dies_before_it_deletes_what_is_purged,
        dies_before_it_deletes_what_it_encrypted,
    ],
)
def test_files_that_nothing_reads_do_not_outlive_an_erasure(
    world: psycopg.Connection,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    leave: Callable[[psycopg.Connection, Archive, pytest.MonkeyPatch], None],
) -> None:
    """A receipt that says done, and the person in a file that a crash has left."""
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        leave(world, archive, patched)
    assert any(ANNA.secret in word for _, word in in_files(archive.url, ANNA.words)), "the control"
    forget(world, archive, ANNA)
    assert residue(world, ANNA.words, archive.url) == []
    assert value(world, "select count(*) from ops.loose_files") == 0
    assert value(world, "select count(*) from ops.archive_files where state <> 'verified'") == 0


def test_two_at_once_are_one(world: psycopg.Connection, archive: Archive) -> None:
    """Two clerks with the same request, and two receipts that each tell of half."""
    with ThreadPoolExecutor(2) as clerks:
        for ended in clerks.map(lambda _: run(world, archive, 0), range(2)):
            assert ended.returncode == 0, ended.stderr
    assert residue(world, ANNA.words) == []
    assert value(world, "select count(*) from ops.erasures") == 1


def test_files_on_s3_are_written_anew(world: psycopg.Connection, bucket: str) -> None:
    """A file that is only forgotten on the disk at hand."""
    archive = Archive(bucket)
    cold_archive.remove_month(world, archive, "observability.spans", MARCH)
    assert residue(world, [ANNA.secret], bucket)
    forget(world, archive, ANNA)
    assert residue(world, ANNA.words, bucket) == []
    assert cold_archive.restore_month(world, archive, "observability.spans", MARCH) == 2
    cold_archive.remove_month(world, archive, "observability.spans", MARCH)
    assert (
        value(world, "select url from ops.archive_files")
        == f"{bucket}/observability.spans/2020-03.parquet"
    )


def test_a_storage_without_rights_stops_it_before_it_begins(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are gone from the database, and a file of them that nobody could replace."""
    to_cold(world, archive)
    before = all_rows(world)

    def refuse(*_: Any) -> None:
        raise PermissionError("read-only")

    files = type(archive._place[0])
    monkeypatch.setattr(files, "put_file", refuse)
    with pytest.raises(
        AgentbooksError, match=r"^archive: cannot write .*probe\.part \(read-only\)"
    ):
        erasure.erase(world, archive, [ANNA.id])
    assert all_rows(world) == before
    assert value(world, "select count(*) from ops.erasures") == 0


def test_who_may_not_erase_is_told(world: psycopg.Connection, archive: Archive) -> None:
    """A traceback for a missing right, or an erasure by an application."""
    before = all_rows(world)
    world.execute("set role service_role")
    with pytest.raises(AgentbooksError, match=r"^erase: permission denied .*agentbooks_retention"):
        erasure.erase(world, archive, [ANNA.id])
    world.execute("reset role")
    assert all_rows(world) == before


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("user_id <> ops.tombstone()", "CheckViolation, traces, odd"),
        ("execution_id::int > 0", "InvalidTextRepresentation"),
    ],
)
def test_what_the_database_refuses_is_told_without_quoting_it(
    world: psycopg.Connection, archive: Archive, check: str, said: str
) -> None:
    """A traceback that prints the row of somebody who asked to be forgotten."""
    world.execute(
        f"alter table observability.traces add constraint odd check ({check}) not valid".encode()
    )
    with pytest.raises(
        AgentbooksError, match=rf"^erase: the database refused a row \({said}\); its"
    ) as e:
        forget(world, archive, ANNA)
    told = "".join(traceback.format_exception(e.value)).lower()
    assert not any(word.lower() in told for word in [*ANNA.words, '"e a"'])
    world.execute("alter table observability.traces drop constraint odd")
    forget(world, archive, ANNA)
    assert residue(world, ANNA.words) == []


def test_who_has_both_roles_erases(world: psycopg.Connection, archive: Archive) -> None:
    """A function that only its owner may call, which nobody sees who tries it as the owner."""
    with world.transaction(force_rollback=True):
        world.execute("create role clerk in role agentbooks_retention, agentbooks_refresher")
        world.execute("set local role clerk")
        assert erasure.erase(world, archive, [ANNA.id, ANNA.user])


def test_the_commands_say_what_they_do(
    server18: TestServer,
    connect: Callable[[str], psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Options that exist in Python and not at the command line."""
    url = server18.database()
    connection = connect(url)
    for table, row in ANNA.rows():
        insert(connection, table, row)
    monkeypatch.setenv("AGENTBOOKS_DATABASE_URL", url)
    monkeypatch.setenv("AGENTBOOKS_ARCHIVE_URL", str(tmp_path))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert re.fullmatch(
        r"Hold 1 is in force\.\nIt covers [1-9]\d* rows in the database\.\n",
        run("hold", "place", "--subject", ANNA.id, "--reason", "case 7"),
    )
    assert f"1: subject {ANNA.id}: case 7" in run("hold", "list")
    with pytest.raises(AgentbooksError, match="legal hold 1 covers what is theirs"):
        run("erase", "--subject", ANNA.id)
    assert run("hold", "release", "1") == "Hold 1 is released.\n"
    assert "chat.users: delete 1 rows" in run("erase", "--subject", ANNA.id, "--dry-run")
    told = run("erase", "--subject", ANNA.id, "--subject", ANNA.user)
    number = re.search(r"^Erasure (\d+) of 2 ids .*, done 20", told, re.M)
    assert number is not None, told
    assert run("erase", "--receipt", number[1]) in told
    with pytest.raises(AgentbooksError, match="name a person with --subject"):
        run("erase")
