"""What writers of the five original systems send still works, column by column.

Each table stands with the columns that its original has, and the text that a driver sends for them:
ids and JSON as strings, times without a zone where the original has none. The few things that its
writers must do otherwise are in DECISIONS.md, and test_bad_rows.py shows that they are refused.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql
from raw_rows import ONE, ROWS, TWO, Row, insert, insert_parents

NAIVE = "2026-03-01 10:00:00"
NAIVE_END = "2026-03-01 10:00:05.123456"
ZONED = "2026-03-01T11:00:00+01:00"
ZONED_END = "2026-03-01T10:00:05Z"
VECTOR = str([0.5] * 1536)


@dataclass
class Written:
    """A table as its original writers know it."""

    table: str
    row: Row
    minimal: str  # columns that are not null and have no default
    not_null: str = ""  # columns that are not null and have one
    key: str = "id"  # what an update finds a row by
    update: Row = field(default_factory=dict)  # where an update sends something else


WRITTEN = [
    Written(
        "raaf.raaf_tracing_traces",
        {
            "trace_id": "trace_0123456789abcdef0123456789abcdef",
            "workflow_name": "Refund",
            "group_id": "thread-1",
            "status": "completed",
            "started_at": NAIVE,
            "ended_at": NAIVE_END,
            "metadata": '{"env": "production"}',
            "created_at": NAIVE,
            "updated_at": NAIVE_END,
        },
        minimal="trace_id workflow_name created_at updated_at",
        not_null="status",
        key="trace_id",
    ),
    Written(
        "raaf.raaf_tracing_spans",
        {
            "span_id": "span_0123456789abcdef01234567",
            "trace_id": "trace_1",
            "parent_id": "span_aaaaaaaaaaaaaaaaaaaaaaaa",
            "name": "run.workflow.agent",
            "kind": "agent",
            "status": "ok",
            "start_time": NAIVE,
            "end_time": NAIVE_END,
            "duration_ms": "5123.46",
            "span_attributes": '{"agent.name": "Support", "llm": {"model": "gpt-4o"}}',
            "events": '[{"name": "exception", "timestamp": "2026-03-01T10:00:00Z", "attributes": {}}]',
            "created_at": NAIVE,
            "updated_at": NAIVE_END,
            "agent_name": "Support",
            "prompt_data": '{"text": "Answer", "variables": {"tone": "kind"}, "temperature": 0.7}',
            "input_context": '{"data": {"order": 1}, "schema": {"order": "integer"}}',
            "output_context": '{"data": {}, "transformations": [{"step": "parse", "duration_ms": 2}]}',
            "chat_messages": '[{"role": "user", "content": "Where is it?"}]',
            "execution_metadata": '{"agent_class": "Support", "error_info": null, "retry_count": 0}',
            "input_tokens": 10,
            "output_tokens": 5,
            "total_tokens": 15,
            "agent_model": "gpt-4o",
            "call_fee_cents": "0.0125",
        },
        minimal="span_id trace_id name created_at updated_at",
        not_null="kind status agent_name",
        key="span_id",
    ),
    Written(
        "raaf.raaf_tracing_span_replays",
        {
            "id": 7,
            "original_span_id": "span_1",
            "replayed_span_id": "span_2",
            "configuration_changes": '{"model": "gpt-4o-mini"}',
            "system_prompt": '{"text": "Answer shortly"}',
            "user_messages": '[{"role": "user", "content": "Where is it?"}]',
            "status": "completed",
            "error_message": "none",
            "notes": "shorter",
            "created_at": NAIVE,
            "updated_at": NAIVE_END,
        },
        minimal="original_span_id created_at updated_at",
    ),
    Written(
        "observability.profiles",
        {
            "id": TWO,
            "email": "b@example.org",
            "name": "Bea",
            "role": "admin",
            "avatar_url": "https://example.org/b.png",
            "created_at": NAIVE,
            "updated_at": NAIVE,
            "settings": '{"observability": {"enabled": true}}',
        },
        minimal="id email",
        not_null="role",
    ),
    Written(
        "observability.workflows",
        {
            "id": TWO,
            "user_id": ONE,
            "name": "Search",
            "description": "Finds things",
            "nodes": '[{"id": "n1"}]',
            "edges": "[]",
            "tags": ["demo"],
            "is_template": False,
            "is_deployed": True,
            "deployed_at": NAIVE,
            "created_at": NAIVE,
            "updated_at": NAIVE,
        },
        minimal="user_id name nodes edges",
    ),
    Written(
        "observability.traces",
        {
            "trace_id": TWO,
            "workflow_id": "unknown",
            "execution_id": "e2",
            "user_id": ONE,
            "query": "What is new?",
            "started_at": NAIVE,
            "completed_at": NAIVE_END,
            "total_duration_ms": 5123,
            "status": "completed",
            "error": "",
            "total_cost": 0.001234,
            "total_tokens": '{"input": 10, "output": 5, "total": 15}',
            "metadata": "{}",
        },
        minimal="workflow_id execution_id",
        not_null="started_at status",
        key="trace_id",
    ),
    Written(
        "observability.spans",
        {
            "span_id": TWO,
            "trace_id": ONE,
            "parent_span_id": ONE,
            "span_type": "llm",
            "name": "answer",
            "status": "completed",
            "started_at": NAIVE,
            "completed_at": NAIVE_END,
            "duration_ms": 5123,
            "inputs": '{"prompt": "What is new?"}',
            "outputs": '{"text": "Nothing"}',
            "tokens": '{"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}',
            "cost": 0.001234,
            "model": "gpt-4o",
            "provider": "openai",
            "error": "",
            "error_type": "",
            "error_stack": "",
            "api_limits": '{"rate_limit": 500, "remaining": 499}',
            "retry_count": 0,
            "timeout": 30,
            "evaluation": '{"metrics": {"latency_ms": 5123}}',
            "metadata": "{}",
            "child_spans": [ONE],
        },
        minimal="trace_id span_type name",
        not_null="status",
        key="span_id",
    ),
    Written(
        "observability.cost_records",
        {
            "id": TWO,
            "execution_id": "e1",
            "workflow_id": ONE,
            "user_id": ONE,
            "node_id": "n1",
            "node_type": "chat",
            "cost": 0.001234,
            "tokens_used": '{"input": 10, "output": 5, "total": 15}',
            "duration_ms": 5123,
            "provider": "openai",
            "model": "gpt-4o",
            "category": "llm",
            "config": '{"temperature": 0.7}',
            "metadata": "{}",
            "created_at": NAIVE,
        },
        minimal="execution_id node_id node_type category created_at",
        not_null="cost",
    ),
    Written(
        "observability.cost_aggregations",
        {
            "id": TWO,
            "workflow_id": ONE,
            "user_id": ONE,
            "period_type": "daily",
            "period_start": "2026-03-01 00:00:00",
            "period_end": "2026-03-02 00:00:00",
            "total_cost": 1.5,
            "total_executions": 3,
            "total_tokens": '{"input": 10, "output": 5, "total": 15}',
            "cost_by_category": '{"llm": 1.5}',
            "cost_by_provider": '{"openai": 1.5}',
            "cost_by_model": '{"gpt-4o": 1.5}',
            "metadata": "{}",
            "created_at": NAIVE,
            "updated_at": NAIVE,
        },
        minimal="period_type period_start period_end",
    ),
    Written(
        "observability.usage_logs",
        {
            "id": TWO,
            "api_key_id": TWO,
            "user_id": ONE,
            "workflow_id": ONE,
            "execution_id": "e1",
            "cost": 0.001234,
            "duration_ms": 5123,
            "status": "success",
            "created_at": NAIVE,
        },
        minimal="cost duration_ms status",
    ),
    Written(
        "traceability.success_patterns",
        {
            "id": TWO,
            "pattern_hash": "89abcdef01234567",
            "source_trace_id": ONE,
            "prompt_text": "Write a parser",
            "prompt_embedding": VECTOR,
            "intent_classification": "code_generation",
            "keywords": ["parser"],
            "domain": "backend",
            "agent_sequence": ["planner", "coder"],
            "routing_strategy": "learned_pattern",
            "hook_sequence": '[{"hook": "quality"}]',
            "endpoint_pattern": '[{"service": "RAG"}]',
            "success_count": 4,
            "failure_count": 1,
            "confidence_score": "0.9",
            "avg_duration_ms": 900,
            "min_duration_ms": 500,
            "max_duration_ms": 1500,
            "avg_hook_count": 2.5,
            "avg_endpoint_count": 1.5,
            "avg_rag_query_count": 0.5,
            "initial_success_score": 0.85,
            "context": '{"branch": "main"}',
            "tags": ["parser"],
            "is_active": True,
            "last_used_at": ZONED,
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="pattern_hash keywords agent_sequence",
        not_null="success_count failure_count",
    ),
    Written(
        "traceability.pattern_usage_log",
        {
            "id": TWO,
            "pattern_id": ONE,
            "trace_id": ONE,
            "used_at": ZONED,
            "match_score": 0.91,
            "was_applied": True,
            "outcome": "success",
            "success": True,
            "deviations": '[{"step": 2}]',
            "expected_duration_ms": 900,
            "actual_duration_ms": 800,
            "user_feedback": "good",
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="pattern_id",
        not_null="used_at",
    ),
    Written(
        "traceability.agent_chaining_patterns",
        {
            "id": TWO,
            "chain_pattern": ["planner", "coder"],
            "occurrence_count": 3,
            "avg_success_rate": 0.9,
            "avg_total_duration_ms": 900,
            "avg_coordination_overhead_ms": 20,
            "common_triggers": ["refactor"],
            "example_trace_ids": [ONE],
            "tags": ["pair"],
            "last_used_at": ZONED,
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="chain_pattern",
    ),
    Written(
        "traceability.error_patterns",
        {
            "id": TWO,
            "error_type": "TimeoutError",
            "error_category": "network",
            "error_message_pattern": "no answer within %",
            "severity": "high",
            "error_count": 2,
            "first_occurrence_at": ZONED,
            "last_occurrence_at": ZONED_END,
            "affected_agents": ["coder"],
            "hook_type": "PreToolUse",
            "endpoint_url": "/api/rag/query",
            "example_trace_ids": [ONE],
            "resolution_pattern": '{"steps": ["retry"]}',
            "resolution_success_rate": 0.5,
            "prevention_strategies": '["cache"]',
            "tags": ["rag"],
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="error_type error_message_pattern",
    ),
    Written(
        "traceability.execution_traces",
        {
            "id": TWO,
            "correlation_id": TWO,
            "root_id": ONE,
            "parent_id": ONE,
            "session_id": ONE,
            "user_id": "u1",
            "source": "claude_code",
            "prompt_text": "Write a parser",
            "started_at": ZONED,
            "completed_at": ZONED_END,
            "duration_ms": 5000,
            "status": "completed",
            "success": True,
            "error_message": "",
            "error_type": "",
            "context": '{"branch": "main"}',
            "tags": ["parser"],
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="correlation_id root_id session_id source",
        not_null="started_at status created_at updated_at",
    ),
    Written(
        "traceability.agent_routing_decisions",
        {
            "id": TWO,
            "trace_id": ONE,
            "agent_selected": "coder",
            "confidence_score": 0.91234,
            "confidence_trigger": 0.9,
            "confidence_context": 0.9,
            "confidence_capability": 0.9,
            "confidence_historical": 0.9,
            "routing_strategy": "fuzzy_match",
            "pattern_id": ONE,
            "cache_hit": False,
            "selection_reason": "best match",
            "query_text": "Write a parser",
            "query_embedding": VECTOR,
            "alternatives": '[{"agent": "planner", "confidence": 0.4}]',
            "decision_duration_ms": 12,
            "execution_started_at": ZONED,
            "execution_completed_at": ZONED_END,
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="trace_id agent_selected confidence_score routing_strategy",
        not_null="created_at updated_at",
    ),
    Written(
        "traceability.hook_executions",
        {
            "id": TWO,
            "trace_id": ONE,
            "hook_type": "PostToolUse",
            "hook_name": "quality",
            "execution_order": 1,
            "tool_name": "Write",
            "file_path": "/src/parser.py",
            "started_at": ZONED,
            "completed_at": ZONED_END,
            "duration_ms": 5000,
            "status": "completed",
            "input_data": '{"content": "x"}',
            "output_data": '{"content": "y"}',
            "modifications_made": '{"lines": 1}',
            "rag_query_performed": True,
            "rag_results": '{"matches": 3, "confidence": 0.8}',
            "quality_check_performed": True,
            "quality_results": '{"violations_found": 0, "quality_score": 0.95}',
            "error_message": "",
            "error_type": "",
            "error_stack": "",
            "metadata": '{"quality_score": 0.95, "processing_time_ms": 12}',
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="trace_id hook_type hook_name execution_order started_at",
        not_null="status created_at updated_at",
    ),
    Written(
        "traceability.endpoint_calls",
        {
            "id": TWO,
            "trace_id": ONE,
            "hook_execution_id": ONE,
            "service": "RAG",
            "endpoint_url": "/api/rag/query",
            "method": "POST",
            "request_body": '{"query": "parser", "api_key": "[REDACTED]"}',
            "response_body": '{"matches": []}',
            "headers": '{"accept": "application/json"}',
            "context": '{"attempt": 1}',
            "status_code": 200,
            "started_at": ZONED,
            "completed_at": ZONED_END,
            "duration_ms": 5000,
            "success": True,
            "error_message": "",
            "error_type": "",
            "retry_count": 0,
            "rag_query": "parser",
            "quality_score": 0.9,
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="trace_id service endpoint_url method success",
    ),
    Written(
        "chat.users",
        {
            "id": TWO,
            "username": "bea",
            "full_name": "Bea",
            "email": "b@example.org",
            "avatar_url": "https://example.org/b.png",
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="id",
    ),
    Written(
        "chat.agents",
        {
            "id": TWO,
            "user_id": ONE,
            "name": "Helper",
            "description": "Helps",
            "system_instructions": "Help",
            "assistant_instructions": "Be short",
            "personality": "kind",
            "avatar_url": "https://example.org/h.png",
            "active": True,
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="user_id name description",
    ),
    Written(
        "chat.workspaces",
        {
            "id": TWO,
            "name": "Team",
            "owner_user_id": ONE,
            "created_at": ZONED,
            "context_window_size": 20,
            "context_window_token_limit": 8000,
        },
        minimal="name owner_user_id",
        not_null="context_window_size context_window_token_limit",
    ),
    Written(
        "chat.workspace_members",
        {
            "id": TWO,
            "workspace_id": ONE,
            "agent_id": None,
            "team_id": None,
            "user_id": ONE,
            "role": "moderator",
            "added_by_user_id": ONE,
            "created_at": ZONED,
        },
        minimal="workspace_id user_id",
    ),
    Written(
        "chat.chat_channels",
        {
            "id": TWO,
            "workspace_id": ONE,
            "name": "general",
            "topic": "All",
            "created_at": ZONED,
            "last_message_at": ZONED,
        },
        minimal="workspace_id name created_at",
    ),
    Written(
        "chat.datastores",
        {
            "id": TWO,
            "user_id": ONE,
            "name": "Manuals",
            "description": "All of them",
            "type": "pinecone",
            "config": '{"index": "manuals"}',
            "similarity_metric": "cosine",
            "similarity_threshold": 0.7,
            "max_results": 5,
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="user_id name description type config",
    ),
    Written(
        "chat.agent_datastores",
        {"id": TWO, "agent_id": ONE, "datastore_id": ONE, "created_at": ZONED},
        minimal="agent_id datastore_id",
    ),
    Written(
        "chat.agent_states",
        {
            "id": TWO,
            "agent_id": ONE,
            "version": "1.0.1",
            "local_state": '{"step": 1}',
            "shared_state": "{}",
            "session_state": "{}",
            "persistent_state": "{}",
            "state_hash": "0a1b",
            "modification_count": 1,
            "valid_from": ZONED,
            "valid_until": None,
            "is_current": True,
            "created_at": ZONED,
            "last_modified": ZONED,
        },
        minimal="agent_id version state_hash",
        not_null="local_state persistent_state",
    ),
    Written(
        "chat.state_checkpoints",
        {
            "id": TWO,
            "agent_id": ONE,
            "state_id": ONE,
            "checkpoint_type": "manual",
            "trigger_reason": "before the update",
            "state_data": '{"step": 1}',
            "compression_type": "none",
            "size_bytes": 10,
            "restoration_time_ms": 5,
            "restoration_count": 0,
            "retention_policy": "archive",
            "expires_at": "2026-04-01 00:00:00+00",
            "created_at": ZONED,
        },
        minimal="agent_id state_id checkpoint_type state_data",
    ),
    Written(
        "chat.state_transitions",
        {
            "id": TWO,
            "agent_id": ONE,
            "from_state_id": None,
            "to_state_id": ONE,
            "transition_type": "update",
            "trigger": "user_message",
            "changes": '{"step": [0, 1]}',
            "rollback_available": True,
            "rollback_data": '{"step": 0}',
            "created_at": ZONED,
        },
        minimal="agent_id to_state_id transition_type changes",
    ),
    Written(
        "chat.conversation_sessions",
        {
            "id": TWO,
            "conversation_id": ONE,
            "user_id": ONE,
            "agent_id": ONE,
            "started_at": ZONED,
            "ended_at": ZONED_END,
            "last_active": ZONED_END,
            "message_count": 2,
            "total_tokens_used": 15,
            "tool_calls_count": 0,
            "session_state": "{}",
            "interruption_context": '{"reason": "closed"}',
            "status": "completed",
        },
        minimal="conversation_id user_id",
    ),
    Written(
        "chat.chat_messages",
        {
            "id": TWO,
            "channel_id": ONE,
            "sender_agent_id": None,
            "sender_user_id": ONE,
            "content": "hello",
            "created_at": ZONED,
            "embedding": VECTOR,
            "metadata": "{}",
        },
        minimal="sender_user_id content created_at",
    ),
    Written(
        "chat.chat_messages_v2",
        {
            "id": TWO,
            "version": "1.0.0",
            "conversation_id": ONE,
            "session_id": ONE,
            "parent_message_id": ONE,
            "channel_id": ONE,
            "sender_user_id": ONE,
            "sender_agent_id": None,
            "role": "user",
            "content": '{"type": "text", "text": "hello", "format": "plain"}',
            "metadata": '{"model": "gpt-4o", "tokens": {"prompt": 10, "completion": 5, "total": 15}}',
            "context": '{"intent": "greeting", "topics": ["hello"]}',
            "tools": '[{"name": "search"}]',
            "memory_refs": [ONE],
            "state_snapshot_id": ONE,
            "audit": '{"ip": "127.0.0.1"}',
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="conversation_id session_id role content sender_user_id",
        not_null="version",
    ),
    Written(
        "chat.message_versions",
        {
            "id": TWO,
            "message_id": ONE,
            "version_number": 1,
            "content": '{"type": "text", "text": "helo"}',
            "metadata": "{}",
            "changed_by": ONE,
            "change_reason": "typo",
            "created_at": ZONED,
        },
        minimal="message_id version_number content",
    ),
    Written(
        "chat.agent_memories",
        {
            "id": TWO,
            "agent_id": ONE,
            "memory_type": "semantic",
            "content": '{"concept": "refund", "definition": "money back"}',
            "embeddings": VECTOR,
            "importance": 0.5,
            "decay_rate": 0.1,
            "access_count": 1,
            "related_memories": [ONE],
            "source_message_id": ONE,
            "last_accessed": ZONED,
            "created_at": ZONED,
            "expires_at": "2026-04-01 00:00:00+00",
        },
        minimal="agent_id memory_type content",
    ),
    Written(
        "chat.memory_consolidations",
        {
            "id": TWO,
            "agent_id": ONE,
            "source_memories": [ONE, TWO],
            "consolidated_memory_id": ONE,
            "consolidation_type": "merge",
            "tokens_saved": 100,
            "created_at": ZONED,
        },
        minimal="agent_id source_memories consolidation_type",
    ),
    Written(
        "chat.context_snapshots",
        {
            "id": TWO,
            "message_id": ONE,
            "agent_id": ONE,
            "snapshot_data": '{"segments": []}',
            "total_tokens": 100,
            "compression_ratio": 0.5,
            "segment_count": 1,
            "build_time_ms": 5,
            "optimization_count": 0,
            "created_at": ZONED,
        },
        minimal="snapshot_data",
    ),
    Written(
        "chat.context_templates",
        {
            "id": TWO,
            "name": "short",
            "description": "Short",
            "segments": '[{"type": "system", "max_tokens": 100}]',
            "variables": '["agent_name"]',
            "total_tokens": 100,
            "use_count": 1,
            "use_cases": ["answers"],
            "agent_types": ["assistant"],
            "created_at": ZONED,
            "updated_at": ZONED,
        },
        minimal="name segments",
    ),
    Written(
        "agentic.users",
        {
            "user_id": TWO,
            "email": "b@example.org",
            "full_name": "Bea",
            "is_active": True,
            "created_at": ZONED,
        },
        minimal="email",
        not_null="is_active created_at",
        key="user_id",
    ),
    Written(
        "agentic.agents",
        {
            "agent_id": TWO,
            "name": "Reviewer",
            "persona_type": "qa",
            "capabilities": '["review", "test"]',
            "config": '{"depth": 2}',
            "created_at": ZONED,
            "updated_at": ZONED,
            "is_active": True,
            "version": 1,
        },
        minimal="name persona_type capabilities",
        not_null="created_at updated_at is_active version",
        key="agent_id",
        update={"version": 2},
    ),
    Written(
        "agentic.agent_sessions",
        {
            "session_id": TWO,
            "agent_id": ONE,
            "user_id": ONE,
            "trust_level": 2,
            "context": '{"repository": "agentbooks"}',
            "started_at": ZONED,
            "ended_at": ZONED_END,
            "session_state": "completed",
            "metadata": '{"client": "cli"}',
            "version": 1,
        },
        minimal="agent_id",
        not_null="trust_level version",
        key="session_id",
        update={"version": 2},
    ),
    Written(
        "agentic.agent_decisions",
        {
            "decision_id": TWO,
            "session_id": ONE,
            "decision_type": "review",
            "input_context": '{"files": ["a.py"]}',
            "decision_rationale": "looks right",
            "action_taken": '{"approve": true}',
            "confidence_score": "0.95",
            "user_feedback": "approved",
            "created_at": ZONED,
            "execution_time_ms": 120,
        },
        minimal="session_id decision_type input_context action_taken",
        key="decision_id",
    ),
    Written(
        "agentic.trust_metrics",
        {
            "metric_id": TWO,
            "session_id": ONE,
            "metric_type": "accuracy",
            "metric_value": "93.50",
            "measurement_context": '{"window": 10}',
            "recorded_at": ZONED,
        },
        minimal="session_id metric_type metric_value",
        key="metric_id",
    ),
    Written(
        "agentic.conversation_history",
        {
            "message_id": TWO,
            "session_id": ONE,
            "role": "agent",
            "content": "hello",
            "message_type": "text",
            "parent_message_id": ONE,
            "created_at": ZONED,
            "tokens_used": 15,
            "model_used": "gpt-4o",
        },
        minimal="session_id role content",
        key="message_id",
    ),
    Written(
        "agentic.agent_knowledge",
        {
            "knowledge_id": TWO,
            "agent_id": ONE,
            "knowledge_type": "pattern",
            "domain": "backend",
            "content": '{"rule": "test first"}',
            "embedding": VECTOR,
            "usage_count": 3,
            "success_rate": "0.67",
            "created_at": ZONED,
            "last_used_at": ZONED,
        },
        minimal="agent_id knowledge_type domain content",
        key="knowledge_id",
    ),
    Written(
        "agentic.agent_audit_log",
        {
            "audit_id": TWO,
            "agent_id": ONE,
            "session_id": ONE,
            "action_type": "file_write",
            "action_details": '{"path": "a.py", "status": "success"}',
            "risk_level": "low",
            "user_id": ONE,
            "timestamp": ZONED,
            "ip_address": "127.0.0.1",
            "user_agent": "cli/1.0",
        },
        minimal="agent_id action_type action_details",
        not_null="audit_id",
        key="",
    ),
    Written(
        "agentic.schema_versions",
        {
            "version_id": TWO,
            "version_number": "1.1.0",
            "description": "More",
            "applied_at": ZONED,
            "applied_by": "deploy",
            "execution_time_ms": 12,
        },
        minimal="version_number",
        not_null="version_id applied_at",
        key="",
    ),
]

PARTITIONED = [
    "raaf.raaf_tracing_spans",
    "observability.spans",
    "traceability.pattern_usage_log",
    "traceability.hook_executions",
    "traceability.endpoint_calls",
    "chat.chat_messages_v2",
    "agentic.agent_decisions",
    "agentic.conversation_history",
]

NAMES = [written.table for written in WRITTEN]


def act(connection: psycopg.Connection, written: Written) -> None:
    """Prepare what a table's rows point to, then act as the application's server.

    It runs in UTC, as the original writers of times without a zone do.
    """
    insert_parents(connection, written.table)
    connection.execute("set local role service_role")
    connection.execute("set local timezone = 'UTC'")


def update(connection: psycopg.Connection, table: str, row: Row, key: str) -> int:
    """Update a row by its key alone and return how many were updated."""
    statement = sql.SQL("update {} set {} where {} = %s").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(c)) for c in row if c != key),
        sql.Identifier(key),
    )
    values = [value for column, value in row.items() if column != key]
    return connection.execute(statement, [*values, row[key]]).rowcount


@pytest.mark.parametrize("written", WRITTEN, ids=NAMES)
def test_every_column_of_the_original_is_taken(
    transaction: psycopg.Connection, written: Written
) -> None:
    """A writer named a column that was renamed or dropped, and its whole row was lost."""
    act(transaction, written)

    insert(transaction, written.table, written.row)


@pytest.mark.parametrize("written", WRITTEN, ids=NAMES)
def test_the_fewest_columns_of_the_original_are_taken(
    transaction: psycopg.Connection, written: Written
) -> None:
    """A writer that sends what it must was asked for more."""
    act(transaction, written)

    insert(
        transaction, written.table, {name: written.row[name] for name in written.minimal.split()}
    )


@pytest.mark.parametrize("written", WRITTEN, ids=NAMES)
def test_a_null_is_taken_where_there_is_no_default(
    transaction: psycopg.Connection, written: Written
) -> None:
    """An ORM sends every column, null where it has nothing, and its rows were refused."""
    with_default = transaction.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and atthasdef",
        [written.table],
    )
    given = {name for (name,) in with_default}
    given |= {written.key, *written.minimal.split(), *written.not_null.split()}
    act(transaction, written)

    row = {name: value if name in given else None for name, value in written.row.items()}

    insert(transaction, written.table, row)


@pytest.mark.parametrize(
    "written", [w for w in WRITTEN if w.key], ids=[w.table for w in WRITTEN if w.key]
)
def test_an_update_by_the_original_key_is_taken(
    transaction: psycopg.Connection, written: Written
) -> None:
    """A key that grew by trace and time left writers who know the id alone unable to update."""
    act(transaction, written)
    insert(transaction, written.table, written.row)

    assert update(transaction, written.table, written.row | written.update, written.key) == 1


@pytest.mark.parametrize("table", PARTITIONED)
def test_an_update_by_the_original_key_uses_an_index(
    transaction: psycopg.Connection, table: str
) -> None:
    """Each update by id read every partition from end to end."""
    key = next(written.key for written in WRITTEN if written.table == table)
    transaction.execute("set local enable_seqscan = off")

    statement = sql.SQL("explain update {} set tenant_id = tenant_id where {} = {}")
    plan = transaction.execute(
        statement.format(sql.Identifier(*table.split(".")), sql.Identifier(key), sql.Literal(ONE))
    ).fetchall()
    text = "\n".join(line for (line,) in plan)

    scans = re.findall(
        r"(?:Seq Scan|Heap Scan|Index Scan using \S+|Index Only Scan using \S+) on", text
    )
    indexes = re.findall(r"(?:Scan using|Bitmap Index Scan on) (\S+)", text)
    leading = transaction.execute(
        """
        select array_agg(distinct pg_get_indexdef(i.indexrelid, 1, true))
        from pg_index as i
        join pg_class as c on c.oid = i.indexrelid
        where c.relname = any(%s)
        """,
        [indexes],
    ).fetchone()
    assert len(scans) >= 5, "the table must have its partitions"
    assert len(indexes) == len(scans), f"some partition is read from end to end:\n{text}"
    assert leading == ([key],), f"index every partition by {key} first:\n{text}"


def test_a_time_without_a_zone_is_read_as_utc(transaction: psycopg.Connection) -> None:
    """Every trace of a Rails application moved by the offset of the server's time zone."""
    written = WRITTEN[NAMES.index("raaf.raaf_tracing_traces")]
    act(transaction, written)

    found = insert(transaction, written.table, written.row, returning=["started_at"])

    assert found == [datetime(2026, 3, 1, 10, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("table", "column", "expression"),
    [
        ("raaf.raaf_tracing_spans", "span_attributes", '\'{"llm.model": "gpt-4o"}\'::json'),
        ("raaf.raaf_tracing_spans", "events", "'[]'::json"),
        ("agentic.agent_knowledge", "embedding", "array_fill(0.5::float8, array[1536])"),
        ("chat.agent_memories", "importance", "0.5::float8"),
        ("observability.traces", "total_cost", "0.001234::numeric(10, 6)"),
        ("raaf.raaf_tracing_traces", "started_at", "timestamp(6) '2026-03-01 10:00:00'"),
        ("chat.chat_messages_v2", "version", "'1.0.0'::varchar(10)"),
    ],
)
def test_a_value_of_the_original_type_is_cast(
    transaction: psycopg.Connection, table: str, column: str, expression: str
) -> None:
    """A driver that names the types of its parameters sent the original's, and was refused."""
    written = WRITTEN[NAMES.index(table)]
    act(transaction, written)
    insert(transaction, table, written.row)

    statement = sql.SQL("update {} set {} = {} where {} = {}").format(
        sql.Identifier(*table.split(".")),
        sql.Identifier(column),
        sql.SQL(expression),
        sql.Identifier(written.key),
        sql.Literal(written.row[written.key]),
    )

    assert transaction.execute(statement).rowcount == 1


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_writer_may_keep_the_versions_of_a_message_itself(
    transaction: psycopg.Connection, order: str
) -> None:
    """The writer's own version met the one that the edit had kept, and its edit failed."""
    act(transaction, WRITTEN[NAMES.index("chat.message_versions")])

    texts = ["hello", "hello you", "hello there", "hello you"]
    for number, (old, new) in enumerate(itertools.pairwise(texts), start=1):
        version = {
            "message_id": ONE,
            "version_number": number,
            "content": json.dumps({"type": "text", "text": old}),
            "change_reason": f"edit {number}",
        }
        if order == "before":
            insert(transaction, "chat.message_versions", version)
        transaction.execute(
            "update chat.chat_messages_v2 set content = %s where id = %s",
            [json.dumps({"type": "text", "text": new}), ONE],
        )
        if order == "after":
            insert(transaction, "chat.message_versions", version)

    kept = transaction.execute(
        "select version_number, content ->> 'text', metadata, change_reason"
        " from chat.message_versions order by version_number"
    ).fetchall()

    assert kept == [(n, text, {}, f"edit {n}") for n, text in enumerate(texts[:-1], start=1)]


def test_every_raw_table_is_written_here() -> None:
    """A table was added, and nobody tried what its writers send."""
    assert set(NAMES) == set(ROWS) - {"agentic.audit_chain_heads"}, "add the table to WRITTEN"
