"""One valid row for each raw table: what the tests of good, odd and bad rows start from."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

# The base row of a table has this id, and points to base rows of others by it.
ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"
NOBODY = "00000000-0000-4000-8000-00000000dead"

# Events lie in a month that no partition was made for, so that names of partitions do not depend on
# the day of the test.
EVENT = "2020-03-01 10:00:00+00"
LATER = "2020-03-01 10:00:05+00"
EARLIER = "2020-03-01 09:00:00+00"

Row = dict[str, Any]

# Parents first. JSON stands as text, as drivers send it.
ROWS: dict[str, Row] = {
    "raaf.raaf_tracing_traces": {
        "trace_id": "trace_1",
        "workflow_name": "Refund",
        "status": "running",
        "started_at": EVENT,
    },
    "raaf.raaf_tracing_spans": {
        "span_id": "span_1",
        "trace_id": "trace_1",
        "name": "answer",
        "kind": "llm",
        "start_time": EVENT,
    },
    "raaf.raaf_tracing_span_replays": {"original_span_id": "span_1"},
    "observability.profiles": {"id": ONE, "email": "a@example.org"},
    "observability.workflows": {
        "id": ONE,
        "user_id": ONE,
        "name": "Search",
        "nodes": "[]",
        "edges": "[]",
    },
    "observability.traces": {
        "trace_id": ONE,
        "workflow_id": "unknown",
        "execution_id": "e1",
        "started_at": EVENT,
    },
    "observability.spans": {
        "trace_id": ONE,
        "span_id": ONE,
        "span_type": "llm",
        "name": "answer",
        "started_at": EVENT,
    },
    "observability.cost_records": {
        "execution_id": "e1",
        "node_id": "n1",
        "node_type": "llm",
        "category": "llm",
        "created_at": EVENT,
    },
    "observability.cost_aggregations": {
        "period_type": "daily",
        "period_start": "2020-03-01 00:00:00+00",
        "period_end": "2020-03-02 00:00:00+00",
    },
    "observability.usage_logs": {
        "cost": 0,
        "duration_ms": 1,
        "status": "success",
        "created_at": EVENT,
    },
    "traceability.success_patterns": {
        "id": ONE,
        "pattern_hash": "00112233aabbccdd",
        "keywords": ["refund"],
        "agent_sequence": ["planner"],
    },
    "traceability.pattern_usage_log": {"pattern_id": ONE, "id": ONE, "used_at": EVENT},
    "traceability.agent_chaining_patterns": {"chain_pattern": ["planner", "coder"]},
    "traceability.error_patterns": {
        "error_type": "TimeoutError",
        "error_message_pattern": "no answer within %",
        "first_occurrence_at": EVENT,
        "last_occurrence_at": LATER,
    },
    "traceability.execution_traces": {
        "id": ONE,
        "correlation_id": ONE,
        "root_id": ONE,
        "session_id": ONE,
        "source": "user_prompt",
        "started_at": EVENT,
    },
    "traceability.agent_routing_decisions": {
        "trace_id": ONE,
        "agent_selected": "coder",
        "confidence_score": 0.9,
        "routing_strategy": "explicit",
        "created_at": EVENT,
    },
    "traceability.hook_executions": {
        "trace_id": ONE,
        "hook_type": "PreToolUse",
        "hook_name": "quality",
        "execution_order": 1,
        "started_at": EVENT,
    },
    "traceability.endpoint_calls": {
        "trace_id": ONE,
        "service": "RAG",
        "endpoint_url": "/api/rag/query",
        "method": "POST",
        "success": True,
        "started_at": EVENT,
    },
    "chat.users": {"id": ONE, "username": "ann", "email": "a@example.org"},
    "chat.agents": {"id": ONE, "user_id": ONE, "name": "Helper", "description": ""},
    "chat.workspaces": {"id": ONE, "name": "Team", "owner_user_id": ONE},
    "chat.workspace_members": {"workspace_id": ONE, "user_id": ONE},
    "chat.chat_channels": {"id": ONE, "workspace_id": ONE, "name": "general"},
    "chat.datastores": {
        "id": ONE,
        "user_id": ONE,
        "name": "Manuals",
        "description": "",
        "type": "pinecone",
        "config": "{}",
    },
    "chat.agent_datastores": {"agent_id": ONE, "datastore_id": ONE},
    "chat.agent_states": {
        "id": ONE,
        "agent_id": ONE,
        "version": "1.0.0",
        "state_hash": "0a",
        "valid_from": EVENT,
    },
    "chat.state_checkpoints": {
        "agent_id": ONE,
        "state_id": ONE,
        "checkpoint_type": "manual",
        "state_data": "{}",
        "created_at": EVENT,
    },
    "chat.state_transitions": {
        "agent_id": ONE,
        "to_state_id": ONE,
        "transition_type": "update",
        "changes": "{}",
    },
    "chat.conversation_sessions": {
        "id": ONE,
        "conversation_id": ONE,
        "user_id": ONE,
        "agent_id": ONE,
        "started_at": EVENT,
    },
    "chat.chat_messages": {
        "channel_id": ONE,
        "sender_user_id": ONE,
        "content": "hello",
        "created_at": EVENT,
    },
    "chat.chat_messages_v2": {
        "id": ONE,
        "conversation_id": ONE,
        "session_id": ONE,
        "sender_user_id": ONE,
        "role": "user",
        "content": '{"type": "text", "text": "hello"}',
        "created_at": EVENT,
    },
    "chat.message_versions": {
        "session_id": ONE,
        "message_id": ONE,
        "version_number": 1,
        "content": '{"type": "text", "text": "helo"}',
    },
    "chat.agent_memories": {
        "id": ONE,
        "agent_id": ONE,
        "memory_type": "semantic",
        "content": '{"concept": "refund", "definition": "money back"}',
        "created_at": EVENT,
    },
    "chat.memory_consolidations": {
        "agent_id": ONE,
        "source_memories": [ONE],
        "consolidation_type": "merge",
    },
    "chat.context_snapshots": {"message_id": ONE, "agent_id": ONE, "snapshot_data": "{}"},
    "chat.context_templates": {"name": "short", "segments": '[{"type": "system"}]'},
    "agentic.users": {"user_id": ONE, "email": "a@example.org"},
    "agentic.agents": {
        "agent_id": ONE,
        "name": "Reviewer",
        "persona_type": "qa",
        "capabilities": '["review"]',
    },
    "agentic.agent_sessions": {"session_id": ONE, "agent_id": ONE, "started_at": EVENT},
    "agentic.agent_decisions": {
        "decision_id": ONE,
        "session_id": ONE,
        "decision_type": "review",
        "input_context": "{}",
        "action_taken": "{}",
        "created_at": EVENT,
    },
    "agentic.trust_metrics": {
        "session_id": ONE,
        "metric_type": "accuracy",
        "metric_value": 93.5,
        "recorded_at": EVENT,
    },
    "agentic.conversation_history": {
        "message_id": ONE,
        "session_id": ONE,
        "role": "user",
        "content": "hello",
        "created_at": EVENT,
    },
    "agentic.agent_knowledge": {
        "agent_id": ONE,
        "knowledge_type": "pattern",
        "domain": "backend",
        "content": "{}",
    },
    "agentic.audit_chain_heads": {"session_id": TWO, "sequence": 1, "row_hash": b"\0" * 32},
    "agentic.agent_audit_log": {
        "audit_id": ONE,
        "agent_id": ONE,
        "session_id": ONE,
        "action_type": "review",
        "action_details": "{}",
        "timestamp": EVENT,
    },
    "agentic.schema_versions": {"version_number": "2.0.0"},
}


def insert(
    connection: psycopg.Connection, table: str, row: Row, returning: list[str] | None = None
) -> list[Any]:
    """Insert a row and return the values of the named columns."""
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    if returning:
        statement += sql.SQL(" returning ") + sql.SQL(", ").join(map(sql.Identifier, returning))
    cursor = connection.execute(statement, list(row.values()))
    return list(cursor.fetchone() or []) if returning else []


def insert_parents(connection: psycopg.Connection, table: str) -> None:
    """Insert the base rows of what stands before a table in its schema."""
    schema = table.split(".")[0]
    for name, row in ROWS.items():
        if name == table:
            return
        if name.startswith(f"{schema}."):
            insert(connection, name, row)
