"""Rows that are odd but valid: they must be taken, and read back as they were sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from raw_rows import NOBODY, ONE, ROWS, Row, insert, insert_parents

Case = tuple[str, Row]

MEGABYTE = 2**20
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
LAST = datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
NO_ROW = UUID(NOBODY)

TEXTS = [
    "👩🏽‍🚀 🇺🇦 ❤️‍🔥",
    "עברית ↔ العربية \u202eright to left\u202c",
    "e\u0301 \u200b\ufeff\u00a0",
    "\U00020000 \U0001d518 \U0010ffff",
    "tab\tnew line\r\nbell\a\x01\x7f",
    "Robert'); drop table chat.users;--",
    r"\N \. \x41 {\"a\": 1} %s %(name)s $1 :name",
    "NULL",
    " ",
    "長い言葉" * (MEGABYTE // 12),
]

# JSON objects, taken wherever an object of free keys is.
OBJECTS: list[dict[str, Any]] = [
    {},
    {"": "empty key", "null": None, "🔑": "🔒", "a.b": {"a": {"b": 1}}},
    {"text": "x" * MEGABYTE},
    {"deep": json.loads("[" * 500 + "]" * 500)},
    {"numbers": [0, -0.0, 1e-300, 2**63, 10**400, 12345678901234567890.123456789e-5]},
    {"list": [None, True, [], {}, "", [[None]]]},
    {str(key): key for key in range(1000)},
]

# (table, free text columns, free object columns)
FREE: list[tuple[str, str, str]] = [
    ("raaf.raaf_tracing_traces", "", "metadata"),
    ("raaf.raaf_tracing_spans", "", "span_attributes"),
    ("raaf.raaf_tracing_span_replays", "notes error_message", "configuration_changes"),
    ("observability.profiles", "name", "settings"),
    ("observability.traces", "query error", "metadata"),
    ("observability.spans", "error_stack", "inputs evaluation"),
    ("observability.cost_records", "model", "config"),
    ("traceability.success_patterns", "prompt_text", "context"),
    ("traceability.execution_traces", "prompt_text", "context"),
    ("traceability.hook_executions", "file_path", "input_data rag_results"),
    ("traceability.endpoint_calls", "rag_query", "request_body headers"),
    ("chat.agents", "system_instructions", ""),
    ("chat.chat_messages", "content", "metadata"),
    ("chat.chat_messages_v2", "", "tools"),
    ("chat.agent_states", "", "local_state"),
    ("chat.context_templates", "description", "variables"),
    ("agentic.agents", "", "config"),
    ("agentic.agent_sessions", "", "context"),
    ("agentic.agent_decisions", "decision_rationale", "input_context"),
    ("agentic.conversation_history", "content", "metadata"),
    ("agentic.agent_knowledge", "", "content"),
    ("agentic.agent_audit_log", "user_agent", "action_details"),
]

# (table, column of the event's time, column of its end)
EVENTS: list[tuple[str, str, str]] = [
    ("raaf.raaf_tracing_traces", "started_at", "ended_at"),
    ("raaf.raaf_tracing_spans", "start_time", "end_time"),
    ("observability.traces", "started_at", "completed_at"),
    ("observability.spans", "started_at", "completed_at"),
    ("observability.cost_records", "created_at", ""),
    ("observability.usage_logs", "created_at", ""),
    ("traceability.pattern_usage_log", "used_at", ""),
    ("traceability.execution_traces", "started_at", "completed_at"),
    ("traceability.agent_routing_decisions", "created_at", ""),
    ("traceability.hook_executions", "started_at", "completed_at"),
    ("traceability.endpoint_calls", "started_at", "completed_at"),
    ("chat.conversation_sessions", "started_at", ""),
    ("chat.chat_messages", "created_at", ""),
    ("chat.chat_messages_v2", "created_at", ""),
    ("agentic.agent_sessions", "started_at", ""),
    ("agentic.agent_decisions", "created_at", ""),
    ("agentic.trust_metrics", "recorded_at", ""),
    ("agentic.conversation_history", "created_at", ""),
    ("agentic.agent_audit_log", "timestamp", ""),
]

# Columns without a value: what a source does not know.
UNKNOWN: list[tuple[str, str]] = [
    ("raaf.raaf_tracing_traces", "group_id started_at ended_at metadata"),
    (
        "raaf.raaf_tracing_spans",
        "parent_id end_time duration_ms span_attributes events input_tokens output_tokens"
        " total_tokens agent_model call_fee_cents agent_name prompt_data input_context"
        " output_context chat_messages execution_metadata",
    ),
    (
        "raaf.raaf_tracing_span_replays",
        "replayed_span_id configuration_changes system_prompt user_messages error_message notes",
    ),
    ("observability.profiles", "name avatar_url settings"),
    ("observability.workflows", "description tags is_template is_deployed deployed_at"),
    (
        "observability.traces",
        "user_id query completed_at total_duration_ms error total_cost total_tokens metadata",
    ),
    (
        "observability.spans",
        "parent_span_id user_id completed_at duration_ms inputs outputs tokens cost model provider"
        " error error_type error_stack api_limits retry_count timeout_ms timeout evaluation metadata"
        " child_spans",
    ),
    (
        "observability.cost_records",
        "workflow_id user_id cost tokens_used duration_ms provider model config metadata",
    ),
    (
        "observability.cost_aggregations",
        "workflow_id user_id total_cost total_executions total_tokens cost_by_category"
        " cost_by_provider cost_by_model metadata",
    ),
    ("observability.usage_logs", "api_key_id user_id workflow_id execution_id"),
    (
        "traceability.success_patterns",
        "source_trace_id prompt_text intent_classification domain tool_sequence routing_strategy"
        " hook_sequence endpoint_pattern confidence_score avg_duration_ms min_duration_ms"
        " max_duration_ms initial_success_score context tags last_used_at prompt_embedding",
    ),
    (
        "traceability.pattern_usage_log",
        "trace_id match_score was_applied outcome success deviations expected_duration_ms"
        " actual_duration_ms user_feedback",
    ),
    ("traceability.execution_traces", "parent_id user_id prompt_text completed_at success context"),
    (
        "traceability.agent_routing_decisions",
        "confidence_trigger pattern_id cache_hit query_text alternatives query_embedding",
    ),
    (
        "traceability.hook_executions",
        "tool_name completed_at duration_ms input_data rag_results quality_results metadata",
    ),
    (
        "traceability.endpoint_calls",
        "hook_execution_id request_body headers status_code retry_count",
    ),
    ("chat.users", "username full_name email avatar_url"),
    ("chat.conversation_sessions", "user_id ended_at session_state interruption_context"),
    (
        "chat.chat_messages_v2",
        "parent_message_id channel_id sender_agent_id metadata context tools memory_refs"
        " state_snapshot_id audit",
    ),
    ("chat.agent_memories", "related_memories source_message_id expires_at embeddings"),
    ("chat.agent_states", "shared_state session_state valid_until"),
    (
        "chat.state_checkpoints",
        "trigger_reason compression_type size_bytes retention_policy expires_at",
    ),
    ("chat.context_snapshots", "message_id agent_id total_tokens compression_ratio"),
    ("agentic.agents", "config"),
    ("agentic.agent_sessions", "user_id context ended_at metadata"),
    (
        "agentic.agent_decisions",
        "decision_rationale confidence_score user_feedback execution_time_ms",
    ),
    ("agentic.trust_metrics", "measurement_context"),
    ("agentic.conversation_history", "message_type parent_message_id tokens_used model_used"),
    ("agentic.agent_knowledge", "embedding success_count success_rate last_used_at"),
    ("agentic.agent_audit_log", "risk_level user_id ip_address user_agent"),
]

ODD: list[Case] = [
    # Ids that are not what the source's own tracer makes.
    ("raaf.raaf_tracing_traces", {"trace_id": "🙂" * 100}),
    ("raaf.raaf_tracing_spans", {"span_id": "a span", "parent_id": "a span "}),
    ("raaf.raaf_tracing_spans", {"name": "n" * 255, "agent_model": "m" * 100}),
    ("raaf.raaf_tracing_spans", {"name": "🙂" * 255}),
    ("raaf.raaf_tracing_span_replays", {"original_span_id": "", "system_prompt": Jsonb(None)}),
    ("traceability.execution_traces", {"parent_id": UUID(ONE), "root_id": NO_ROW}),
    ("traceability.endpoint_calls", {"hook_execution_id": NO_ROW, "endpoint_url": ""}),
    ("traceability.pattern_usage_log", {"trace_id": NO_ROW}),
    ("chat.chat_messages_v2", {"parent_message_id": NO_ROW, "memory_refs": [NO_ROW]}),
    ("agentic.conversation_history", {"parent_message_id": NO_ROW, "content": ""}),
    # Money and measures: as small, as large and as exact as a source says.
    ("observability.spans", {"cost": Decimal("0.000000000000000000000000000001")}),
    ("observability.spans", {"cost": Decimal(10) ** 30, "duration_ms": Decimal("0.000001")}),
    ("observability.traces", {"total_cost": Decimal("12345678901234567890.12345678901234567890")}),
    ("observability.usage_logs", {"cost": Decimal(0), "duration_ms": Decimal(0)}),
    ("raaf.raaf_tracing_spans", {"call_fee_cents": Decimal("0.0001"), "total_tokens": 2**31 - 1}),
    ("raaf.raaf_tracing_spans", {"input_tokens": 10, "output_tokens": 5, "total_tokens": 3}),
    ("agentic.conversation_history", {"tokens_used": 2**63 - 1}),
    ("agentic.trust_metrics", {"metric_type": "complexity", "metric_value": Decimal(10)}),
    ("agentic.trust_metrics", {"metric_value": Decimal(0)}),
    ("agentic.trust_metrics", {"metric_value": Decimal(100)}),
    ("agentic.agent_decisions", {"confidence_score": Decimal("0.9999")}),
    ("traceability.agent_routing_decisions", {"confidence_score": Decimal(0)}),
    ("chat.agent_memories", {"importance": Decimal(1), "decay_rate": Decimal(10) ** 20}),
    ("chat.context_snapshots", {"compression_ratio": Decimal("9.9999")}),
    # Token counts with a key missing, with none, unknown, or nested.
    ("observability.traces", {"total_tokens": Jsonb({})}),
    ("observability.traces", {"total_tokens": Jsonb({"total": None})}),
    ("observability.spans", {"tokens": Jsonb({"input_tokens": 0, "details": {"cached": "?"}})}),
    ("observability.spans", {"tokens": Jsonb({"total_tokens": 10**15})}),
    # JSON of the shapes that the sources document, at their edges.
    ("raaf.raaf_tracing_spans", {"prompt_data": Jsonb({}), "chat_messages": Jsonb([])}),
    ("raaf.raaf_tracing_spans", {"prompt_data": Jsonb({"text": "", "model": None})}),
    ("raaf.raaf_tracing_spans", {"input_context": Jsonb({"data": []})}),
    ("raaf.raaf_tracing_spans", {"output_context": Jsonb({"data": {}, "transformations": []})}),
    (
        "raaf.raaf_tracing_spans",
        {"chat_messages": Jsonb([{"role": "assistant", "content": None, "tool_calls": [{}]}])},
    ),
    (
        "raaf.raaf_tracing_spans",
        {"chat_messages": Jsonb([{"role": "tool", "content": [{"type": "text"}]}] * 1000)},
    ),
    ("raaf.raaf_tracing_spans", {"execution_metadata": Jsonb({"error_info": None, "more": 1})}),
    ("raaf.raaf_tracing_spans", {"events": Jsonb([{}])}),
    ("traceability.agent_routing_decisions", {"alternatives": Jsonb([])}),
    (
        "traceability.agent_routing_decisions",
        {"alternatives": Jsonb([{"agent": "", "confidence": 0, "why": None}])},
    ),
    ("traceability.hook_executions", {"quality_results": Jsonb({"quality_score": None})}),
    ("traceability.hook_executions", {"input_data": Jsonb(None), "output_data": Jsonb([1, "a"])}),
    ("traceability.endpoint_calls", {"request_body": Jsonb("text"), "response_body": Jsonb(False)}),
    ("traceability.error_patterns", {"resolution_pattern": Jsonb({"steps": []})}),
    ("traceability.error_patterns", {"error_message_pattern": ""}),
    ("observability.workflows", {"nodes": Jsonb({}), "edges": Jsonb([None])}),
    ("chat.chat_messages_v2", {"content": Jsonb({"type": "text"})}),
    ("chat.chat_messages_v2", {"content": Jsonb({"type": "text", "text": "🙂" * (MEGABYTE // 4)})}),
    ("chat.chat_messages_v2", {"content": Jsonb({"type": "multimodal", "parts": []})}),
    ("chat.chat_messages_v2", {"content": Jsonb({"type": "structured", "structured": None})}),
    ("chat.chat_messages_v2", {"metadata": Jsonb({"tokens": 0})}),
    ("chat.chat_messages_v2", {"metadata": Jsonb({"tokens": {}, "latency": {}})}),
    ("chat.chat_messages_v2", {"metadata": Jsonb({"quality_score": 9.5, "confidence": 1})}),
    ("chat.chat_messages_v2", {"context": Jsonb({"topics": [], "sentiment": {"joy": 1}})}),
    ("chat.chat_messages_v2", {"role": "system", "sender_user_id": None}),
    ("chat.chat_messages_v2", {"role": "tool", "sender_user_id": None}),
    ("chat.chat_messages_v2", {"version": "10.20.30-rc.1+build.5"}),
    (
        "chat.agent_memories",
        {"memory_type": "working", "content": Jsonb({"items": [], "capacity": 0})},
    ),
    (
        "chat.agent_memories",
        {"memory_type": "episodic", "content": Jsonb({"event": {}, "temporal": {}})},
    ),
    (
        "chat.agent_memories",
        {"memory_type": "procedural", "content": Jsonb({"skill": "", "steps": []})},
    ),
    ("chat.state_checkpoints", {"state_data": Jsonb("compressed, as base64")}),
    ("chat.state_checkpoints", {"size_bytes": 0, "restoration_time_ms": 0}),
    ("chat.state_transitions", {"changes": Jsonb([]), "rollback_data": Jsonb(None)}),
    ("chat.context_templates", {"segments": Jsonb([])}),
    ("chat.context_snapshots", {"snapshot_data": Jsonb([])}),
    ("agentic.agents", {"capabilities": Jsonb({})}),
    ("agentic.agents", {"capabilities": Jsonb([])}),
    ("agentic.agents", {"capabilities": Jsonb({"review": None, "🔧": {"depth": 3}})}),
    ("agentic.agent_audit_log", {"action_details": Jsonb({"status": None})}),
    # Arrays: empty, with quotes and commas in them, or long.
    ("traceability.success_patterns", {"agent_sequence": [], "tool_sequence": ["grep"]}),
    (
        "traceability.success_patterns",
        {"keywords": ["a,b", '"', "{}", "NULL", "", "\\"], "tags": []},
    ),
    ("traceability.success_patterns", {"agent_sequence": ["planner"] * 10_000}),
    ("traceability.agent_chaining_patterns", {"chain_pattern": ["a", "a"], "common_triggers": []}),
    ("observability.spans", {"child_spans": ["no id", ""]}),
    # A session of an agent alone, a person without a name, a session closed without a time.
    ("chat.conversation_sessions", {"user_id": None}),
    ("chat.conversation_sessions", {"agent_id": None, "status": "completed"}),
    ("agentic.agent_sessions", {"session_state": "terminated", "trust_level": 4}),
    ("agentic.agent_audit_log", {"session_id": None, "ip_address": ip_address("::1")}),
    ("agentic.agent_audit_log", {"ip_address": ip_address("255.255.255.255")}),
    ("observability.traces", {"workflow_id": "", "execution_id": "🙂" * 255}),
    # Times that are no event's: as far as drivers can read them.
    ("observability.workflows", {"deployed_at": datetime(1, 1, 2, tzinfo=UTC)}),
    ("traceability.success_patterns", {"last_used_at": datetime(9999, 12, 30, tzinfo=UTC)}),
    ("chat.chat_channels", {"last_message_at": datetime(1970, 1, 1, tzinfo=UTC)}),
    ("agentic.agents", {"created_at": datetime(1900, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)}),
    # Embeddings at the edges of what a search can use.
    ("chat.agent_memories", {"embeddings": "[" + "0," * 1535 + "1e-20]"}),
    ("agentic.agent_knowledge", {"embedding": "[" + "-1," * 1535 + "-1]"}),
]

CASES: list[Case] = [
    *ODD,
    *[
        (table, {column: text})
        for table, texts, _ in FREE
        for column in texts.split()
        for text in TEXTS
    ],
    *[
        (table, {column: Jsonb(value)})
        for table, _, objects in FREE
        for column in objects.split()
        for value in OBJECTS
    ],
    *[
        (table, {start: moment} | ({end: moment} if end else {}))
        for table, start, end in EVENTS
        for moment in (FIRST, LAST)
    ],
    *[(table, dict.fromkeys(names.split())) for table, names in UNKNOWN],
]

# What a column makes of a value that it does not keep as sent.
MADE_OF = {("agentic.agent_audit_log", "session_id"): UUID(int=0)}


def case_id(case: object) -> str | None:
    """Name a case by its table and first column."""
    return next(iter(case)) if isinstance(case, dict) else str(case).split(".")[-1]


@pytest.mark.parametrize(("table", "changes"), CASES, ids=case_id)
def test_an_odd_row_is_taken_and_read_back(
    transaction: psycopg.Connection, table: str, changes: Row
) -> None:
    """A check meant for nonsense refused a rare but true record, or a column cut or rounded it."""
    insert_parents(transaction, table)

    found = insert(transaction, table, ROWS[table] | changes, returning=list(changes))

    sent = [value.obj if isinstance(value, Jsonb) else value for value in changes.values()]
    expected = [
        MADE_OF.get((table, column), value) for column, value in zip(changes, sent, strict=True)
    ]
    assert list(found) == expected, f"{table} must keep {list(changes)} as they were sent"

    everything = sql.SQL("select * from {}").format(sql.Identifier(*table.split(".")))
    assert transaction.execute(everything).fetchall(), (
        "every column must be readable, defaults included"
    )


def test_there_are_a_hundred_of_them_and_some_in_each_schema() -> None:
    """The corpus shrank, and the odd half of a source was no longer tried."""
    assert len(CASES) >= 100
    assert {table for table, _ in CASES} <= set(ROWS)
    assert {table.split(".")[0] for table, _ in CASES} == {table.split(".")[0] for table in ROWS}
