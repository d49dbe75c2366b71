"""Rows that must be refused, each with what refuses it.

That is the name of a constraint, "<column> is null" where a value must be given, or an SQLSTATE.
"""

from __future__ import annotations

from collections import Counter

import psycopg
import pytest
from psycopg import sql
from raw_rows import EARLIER, EVENT, LATER, NOBODY, ONE, ROWS, TWO, Row, insert, insert_parents

BEFORE_2000 = "1999-12-31 23:59:59.999999+00"
AFTER_2099 = "2100-01-01 00:00:00+00"

Case = tuple[str, Row, str]


def each(table: str, column: str, values: list[object], constraint: str) -> list[Case]:
    """Give one case for each value of a column."""
    return [(table, {column: value}, constraint) for value in values]


def columns(table: str, names: str, values: list[object], suffix: str = "check") -> list[Case]:
    """Give one case for each column and value, where a column's constraint is called after it."""
    return [
        (table, {name: value}, f"{table.split('.')[1]}_{name}_{suffix}")
        for name in names.split()
        for value in values
    ]


NEGATIVE: list[object] = [-1]
NO_MEASURE: list[object] = [-0.001, "NaN", "Infinity"]
NO_SHARE: list[object] = [-0.0001, 1.0001, "NaN"]
NO_OBJECT: list[object] = ["null", "[]", '[{"a": 1}]', '"{}"', "1"]
NO_ARRAY: list[object] = ["null", "{}", '"[]"', "false"]
NO_JSON_LIST_OR_OBJECT: list[object] = ["null", '"[]"', "0", "true"]
NO_EVENT_TIME: list[object] = [BEFORE_2000, AFTER_2099, "infinity", "-infinity"]
NO_VERSION: list[object] = ["", "1", "1.0", "v1.0.0", "1.0.0 ", "latest"]

TRACE, SPAN = "raaf.raaf_tracing_traces", "raaf.raaf_tracing_spans"
REPLAY = "raaf.raaf_tracing_span_replays"

RAAF: list[Case] = [
    *columns(TRACE, "trace_id", ["", "  "]),
    *columns(TRACE, "workflow_name", ["", "w" * 256]),
    *columns(TRACE, "status", ["", "cancelled", "PENDING", "ok"]),
    *columns(TRACE, "started_at", NO_EVENT_TIME),
    *columns(TRACE, "ended_at", [AFTER_2099, "infinity"]),
    (TRACE, {"ended_at": EARLIER}, "raaf_tracing_traces_end_not_before_start"),
    *columns(TRACE, "metadata", NO_OBJECT),
    *columns(SPAN, "span_id", ["", " "]),
    *columns(SPAN, "name", ["", "n" * 256]),
    *columns(SPAN, "kind", ["", "LLM", "step"]),
    *columns(SPAN, "status", ["completed", "OK", ""]),
    *columns(SPAN, "start_time", NO_EVENT_TIME, suffix="readable"),
    *columns(SPAN, "end_time", [AFTER_2099, "infinity"]),
    (SPAN, {"end_time": EARLIER}, "raaf_tracing_spans_end_not_before_start"),
    (SPAN, {"parent_id": "span_1"}, "raaf_tracing_spans_not_its_own_parent"),
    (SPAN, {"trace_id": "trace_2"}, "raaf_tracing_spans_trace_id_fkey"),
    *columns(SPAN, "duration_ms call_fee_cents", NO_MEASURE),
    *columns(SPAN, "input_tokens output_tokens total_tokens", NEGATIVE),
    *columns(SPAN, "span_attributes", NO_OBJECT),
    (SPAN, {"span_attributes": r'{"llm.model": "a\u0000"}'}, "22P05"),
    (SPAN, {"span_attributes": "{'llm.model': 'a'}"}, "22P02"),
    *columns(SPAN, "events", [*NO_ARRAY, "[null]", '["exception"]', '[{"name": "x"}, 1]']),
    *[
        (SPAN, {"kind": "agent", "agent_name": name}, "check_agent_name_for_agent_spans")
        for name in (None, "", "  ")
    ],
    *each(
        SPAN,
        "prompt_data",
        [
            *NO_OBJECT,
            '{"model": "gpt-4o"}',
            '{"text": null}',
            '{"text": ["a"]}',
            '{"text": "a", "variables": []}',
            '{"text": "a", "temperature": "0.7"}',
            '{"text": "a", "max_tokens": "many"}',
            '{"text": "a", "template": 1}',
            '{"text": "a", "model": {}}',
        ],
        "check_valid_prompt_data",
    ),
    *[
        (SPAN, {column: value}, f"check_valid_{column}")
        for column in ("input_context", "output_context")
        for value in (
            "null",
            "[]",
            '"data"',
            '["data"]',
            '{"schema": {}}',
            '{"data": null}',
            '{"data": "text"}',
            '{"data": {}, "schema": "s"}',
            '{"data": {}, "validation_results": {}}',
            '{"data": {}, "validation_results": [null]}',
            '{"data": {}, "validation_results": [{"field": "a"}]}',
            '{"data": {}, "validation_results": [{"field": "a", "status": "ok", "message": 1}]}',
            '{"data": {}, "transformations": [[]]}',
            '{"data": {}, "transformations": [{"duration_ms": 1}]}',
            '{"data": {}, "transformations": [{"step": "a", "duration_ms": "1"}]}',
        )
    ],
    *each(
        SPAN,
        "chat_messages",
        [
            *NO_ARRAY,
            '{"role": "user", "content": "a"}',
            "[null]",
            '["a"]',
            '[{"content": "a"}]',
            '[{"role": "user"}]',
            '[{"role": "user", "content": null}]',
            '[{"role": "agent", "content": "a"}]',
            '[{"role": ["user"], "content": "a"}]',
            '[{"role": "user", "content": 1}]',
            '[{"role": "user", "content": "a", "timestamp": 1}]',
            '[{"role": "user", "content": "a"}, {"role": null, "content": "b"}]',
        ],
        "check_valid_chat_messages",
    ),
    *each(
        SPAN,
        "execution_metadata",
        [
            *NO_OBJECT,
            '{"agent_class": 1}',
            '{"start_time": 1}',
            '{"duration_ms": "1"}',
            '{"retry_count": "none"}',
            '{"tools_used": "search"}',
            '{"tools_used": [null]}',
            '{"tools_used": [{"name": "search"}]}',
            '{"handoffs": {}}',
            '{"handoffs": ["a"]}',
            '{"handoffs": [{"from_agent": "a"}]}',
            '{"handoffs": [{"from_agent": "a", "to_agent": null}]}',
            '{"error_info": "failed"}',
        ],
        "check_valid_execution_metadata",
    ),
    (REPLAY, {"replayed_span_id": "span_1"}, "raaf_tracing_span_replays_check"),
    *columns(REPLAY, "configuration_changes", NO_OBJECT),
    *columns(REPLAY, "user_messages", NO_ARRAY),
]

PROFILE, WORKFLOW = "observability.profiles", "observability.workflows"
RUN, STEP = "observability.traces", "observability.spans"
COST, PERIOD = "observability.cost_records", "observability.cost_aggregations"
USAGE = "observability.usage_logs"

NO_TOKENS: list[object] = [
    *NO_OBJECT,
    '{"input": "1"}',
    '{"input": -1}',
    '{"total": 1.5}',
    '{"output": [1]}',
    '{"total": true}',
    '{"input": 1e16}',
]

OBSERVABILITY: list[Case] = [
    *columns(PROFILE, "role", ["", "root", "Admin"]),
    *columns(PROFILE, "settings", NO_OBJECT),
    *columns(WORKFLOW, "nodes edges", NO_JSON_LIST_OR_OBJECT),
    (WORKFLOW, {"user_id": NOBODY}, "workflows_user_id_fkey"),
    *each(RUN, "status", ["pending", "done", ""], "valid_status"),
    *columns(RUN, "started_at", NO_EVENT_TIME),
    *columns(RUN, "completed_at", [AFTER_2099, "infinity"]),
    (RUN, {"completed_at": EARLIER}, "traces_end_not_before_start"),
    *columns(RUN, "total_duration_ms total_cost", NO_MEASURE),
    *columns(RUN, "total_tokens", NO_TOKENS),
    *columns(RUN, "metadata", NO_OBJECT),
    (RUN, {"user_id": NOBODY}, "traces_user_id_fkey"),
    (RUN, {"workflow_id": "w" * 256}, "22001"),
    (RUN, {"trace_id": "trace_1"}, "22P02"),
    *each(STEP, "span_type", ["", "LLM", "tool"], "valid_span_type"),
    *each(STEP, "status", ["ok", ""], "valid_span_status"),
    *columns(STEP, "started_at", NO_EVENT_TIME),
    *columns(STEP, "completed_at", [AFTER_2099, "infinity"]),
    (STEP, {"completed_at": EARLIER}, "spans_end_not_before_start"),
    (STEP, {"parent_span_id": ONE}, "spans_not_own_parent"),
    (STEP, {"trace_id": NOBODY}, "spans_trace_id_fkey"),
    *columns(STEP, "duration_ms cost timeout_ms", NO_MEASURE),
    *columns(STEP, "tokens", NO_TOKENS),
    *columns(STEP, "api_limits evaluation metadata", NO_OBJECT),
    *columns(STEP, "retry_count", NEGATIVE),
    *columns(COST, "category", ["", "LLM", "tool"]),
    *columns(COST, "cost duration_ms", NO_MEASURE),
    *columns(COST, "tokens_used", NO_TOKENS),
    *columns(COST, "config metadata", NO_OBJECT),
    *columns(COST, "created_at", NO_EVENT_TIME),
    (COST, {"workflow_id": NOBODY}, "cost_records_workflow_id_fkey"),
    (COST, {"user_id": NOBODY}, "cost_records_user_id_fkey"),
    *columns(PERIOD, "period_type", ["", "hourly"]),
    *columns(PERIOD, "period_start", [BEFORE_2000, "-infinity"]),
    *columns(PERIOD, "period_end", ["2100-01-01 00:00:01+00", "infinity"]),
    (PERIOD, {"period_end": "2020-02-29 00:00:00+00"}, "cost_aggregations_end_not_before_start"),
    *columns(PERIOD, "total_cost", NO_MEASURE),
    *columns(PERIOD, "total_executions", NEGATIVE),
    *columns(PERIOD, "total_tokens", NO_TOKENS),
    *columns(PERIOD, "cost_by_category cost_by_provider cost_by_model metadata", NO_OBJECT),
    (PERIOD, {"workflow_id": NOBODY}, "cost_aggregations_workflow_id_fkey"),
    (PERIOD, {"user_id": NOBODY}, "cost_aggregations_user_id_fkey"),
    *columns(USAGE, "cost duration_ms", NO_MEASURE),
    *columns(USAGE, "created_at", NO_EVENT_TIME),
    (USAGE, {"workflow_id": NOBODY}, "usage_logs_workflow_id_fkey"),
    (USAGE, {"user_id": NOBODY}, "usage_logs_user_id_fkey"),
]

PATTERN, PATTERN_USE = "traceability.success_patterns", "traceability.pattern_usage_log"
CHAIN, ERROR = "traceability.agent_chaining_patterns", "traceability.error_patterns"
EXECUTION, ROUTING = "traceability.execution_traces", "traceability.agent_routing_decisions"
HOOK, CALL = "traceability.hook_executions", "traceability.endpoint_calls"

TRACEABILITY: list[Case] = [
    *columns(PATTERN, "pattern_hash", [""]),
    *columns(PATTERN, "intent_classification", ["", "chat"]),
    (PATTERN, {"agent_sequence": []}, "success_patterns_has_a_step"),
    (PATTERN, {"agent_sequence": [], "tool_sequence": []}, "success_patterns_has_a_step"),
    (PATTERN, {"agent_sequence": ["a", None]}, "success_patterns_steps_named"),
    (PATTERN, {"tool_sequence": [None]}, "success_patterns_steps_named"),
    *columns(PATTERN, "hook_sequence endpoint_pattern", NO_ARRAY),
    *columns(PATTERN, "success_count failure_count min_duration_ms", NEGATIVE),
    (PATTERN, {"min_duration_ms": 5, "max_duration_ms": 4}, "success_patterns_check"),
    *columns(PATTERN, "confidence_score initial_success_score", NO_SHARE),
    *columns(
        PATTERN, "avg_duration_ms avg_hook_count avg_endpoint_count avg_rag_query_count", NO_MEASURE
    ),
    *columns(PATTERN, "context", NO_OBJECT),
    (PATTERN, {"total_usage_count": 3}, "428C9"),
    (PATTERN, {"success_rate": 0.5}, "428C9"),
    (PATTERN_USE, {"performance_variance": 0.5}, "428C9"),
    *columns(PATTERN_USE, "used_at", NO_EVENT_TIME),
    *columns(PATTERN_USE, "match_score", NO_SHARE),
    *columns(PATTERN_USE, "outcome", ["", "partial"]),
    *columns(PATTERN_USE, "deviations", NO_JSON_LIST_OR_OBJECT),
    *columns(PATTERN_USE, "expected_duration_ms actual_duration_ms", NEGATIVE),
    *columns(PATTERN_USE, "metadata", NO_OBJECT),
    (PATTERN_USE, {"pattern_id": NOBODY}, "pattern_usage_log_pattern_id_fkey"),
    *columns(CHAIN, "chain_pattern", [[], ["a"], ["a", None]]),
    *columns(CHAIN, "occurrence_count", [0]),
    *columns(CHAIN, "avg_success_rate", NO_SHARE),
    *columns(CHAIN, "avg_total_duration_ms avg_coordination_overhead_ms", NEGATIVE),
    *columns(ERROR, "error_type", [""]),
    *columns(ERROR, "error_category", ["", "disk"]),
    *columns(ERROR, "severity", ["", "fatal"]),
    *columns(ERROR, "error_count", [0]),
    (ERROR, {"last_occurrence_at": EARLIER}, "error_patterns_last_not_before_first"),
    *columns(
        ERROR,
        "resolution_pattern",
        ["null", "[]", "{}", '"steps"', '["steps"]', '{"steps": null}', '{"steps": {}}'],
    ),
    *columns(ERROR, "resolution_success_rate", NO_SHARE),
    *columns(ERROR, "prevention_strategies", NO_JSON_LIST_OR_OBJECT),
    *columns(EXECUTION, "started_at", NO_EVENT_TIME),
    *columns(EXECUTION, "completed_at", [AFTER_2099, "infinity"]),
    (EXECUTION, {"completed_at": EARLIER}, "execution_traces_end_not_before_start"),
    *columns(EXECUTION, "duration_ms", NEGATIVE),
    *columns(EXECUTION, "status", ["", "success", "running"]),
    *columns(EXECUTION, "context", NO_OBJECT),
    *columns(ROUTING, "agent_selected", [""]),
    *columns(
        ROUTING,
        "confidence_score confidence_trigger confidence_context confidence_capability"
        " confidence_historical",
        NO_SHARE,
    ),
    *columns(ROUTING, "decision_duration_ms", NEGATIVE),
    *each(
        ROUTING,
        "alternatives",
        [
            *NO_ARRAY,
            "[null]",
            '["coder"]',
            '[{"agent": "coder"}]',
            '[{"agent": null, "confidence": 0.5}]',
            '[{"agent": "coder", "confidence": null}]',
            '[{"agent": "coder", "confidence": "0.5"}]',
            '[{"agent": "coder", "confidence": 1.5}]',
            '[{"agent": "coder", "confidence": 0.5}, {"confidence": 0.5}]',
        ],
        "routing_alternatives_shape",
    ),
    *columns(ROUTING, "created_at", NO_EVENT_TIME),
    (
        ROUTING,
        {"execution_started_at": LATER, "execution_completed_at": EVENT},
        "routing_end_not_before_start",
    ),
    (ROUTING, {"trace_id": NOBODY}, "agent_routing_decisions_trace_id_fkey"),
    (ROUTING, {"pattern_id": NOBODY}, "agent_routing_decisions_pattern_id_fkey"),
    *columns(HOOK, "hook_type", ["", "pre-tool-use"]),
    *columns(HOOK, "execution_order", [0]),
    *columns(HOOK, "started_at", NO_EVENT_TIME),
    *columns(HOOK, "completed_at", [AFTER_2099, "infinity"]),
    (HOOK, {"completed_at": EARLIER}, "hook_executions_end_not_before_start"),
    *columns(HOOK, "duration_ms", NEGATIVE),
    *columns(HOOK, "status", ["", "cancelled"]),
    *columns(HOOK, "rag_results metadata", NO_OBJECT),
    *each(
        HOOK,
        "quality_results",
        [
            *NO_OBJECT,
            '{"quality_score": "0.9"}',
            '{"quality_score": [0.9]}',
            '{"quality_score": 1.1}',
            '{"quality_score": -0.1}',
        ],
        "hook_quality_results_shape",
    ),
    (HOOK, {"trace_id": NOBODY}, "hook_executions_trace_id_fkey"),
    *columns(CALL, "service", [""]),
    *columns(CALL, "method", ["", "get", "TRACE"]),
    *columns(CALL, "headers context", NO_OBJECT),
    *columns(CALL, "status_code", [0, 99, 600]),
    *columns(CALL, "started_at", NO_EVENT_TIME),
    *columns(CALL, "completed_at", [AFTER_2099, "infinity"]),
    (CALL, {"completed_at": EARLIER}, "endpoint_calls_end_not_before_start"),
    *columns(CALL, "duration_ms retry_count", NEGATIVE),
    *columns(CALL, "quality_score", NO_SHARE),
    (CALL, {"trace_id": NOBODY}, "endpoint_calls_trace_id_fkey"),
]

PERSON, CHAT_AGENT = "chat.users", "chat.agents"
WORKSPACE, MEMBER, CHANNEL = "chat.workspaces", "chat.workspace_members", "chat.chat_channels"
DATASTORE, DATASTORE_LINK = "chat.datastores", "chat.agent_datastores"
STATE, CHECKPOINT = "chat.agent_states", "chat.state_checkpoints"
TRANSITION = "chat.state_transitions"
CONVERSATION, OLD_MESSAGE = "chat.conversation_sessions", "chat.chat_messages"
MESSAGE, MESSAGE_VERSION = "chat.chat_messages_v2", "chat.message_versions"
MEMORY, CONSOLIDATION = "chat.agent_memories", "chat.memory_consolidations"
SNAPSHOT, TEMPLATE = "chat.context_snapshots", "chat.context_templates"

NO_CONTENT: list[object] = [
    *NO_OBJECT,
    "{}",
    '["type"]',
    '"type"',
    '{"type": null}',
    '{"type": "audio"}',
    '{"type": ["text"]}',
    '{"type": "text", "text": 1}',
    '{"type": "text", "text": ["a"]}',
    '{"type": "text", "language": 1}',
    '{"type": "text", "format": "pdf"}',
    '{"type": "multimodal", "parts": {}}',
    '{"type": "multimodal", "parts": [null]}',
    '{"type": "multimodal", "parts": ["a"]}',
    '{"type": "multimodal", "parts": [{}]}',
    '{"type": "multimodal", "parts": [{"type": null}]}',
    '{"type": "multimodal", "parts": [{"type": ["text"]}]}',
]

NO_MEMORY: list[tuple[str, str]] = [
    ("semantic", "null"),
    ("semantic", '["concept", "definition"]'),
    ("semantic", '"concept"'),
    ("semantic", "{}"),
    ("semantic", '{"concept": "a"}'),
    ("semantic", '{"concept": null, "definition": "b"}'),
    ("semantic", '{"concept": "a", "definition": ["b"]}'),
    ("semantic", '{"concept": "a", "definition": "b", "relationships": {}}'),
    ("semantic", '{"concept": "a", "definition": "b", "source": {"origin": "heard"}}'),
    ("episodic", '{"event": "a"}'),
    ("episodic", '{"event": null, "temporal": {}}'),
    ("episodic", '{"event": "a", "temporal": null}'),
    ("episodic", '{"event": "a", "temporal": "2020"}'),
    ("episodic", '{"event": "a", "temporal": {}, "participants": "ann"}'),
    ("procedural", '{"skill": "a"}'),
    ("procedural", '{"skill": "a", "steps": null}'),
    ("procedural", '{"skill": "a", "steps": "one"}'),
    ("procedural", '{"skill": ["a"], "steps": []}'),
    ("procedural", '{"skill": "a", "steps": [], "performance": 1}'),
    ("working", '{"items": []}'),
    ("working", '{"items": {}, "capacity": 1}'),
    ("working", '{"items": [], "capacity": "1"}'),
    ("working", '{"items": [], "capacity": -1}'),
    ("working", '{"items": [], "capacity": 1, "compression_enabled": 1}'),
    ("semantic", '{"event": "a", "temporal": {}}'),
]

CHAT: list[Case] = [
    *columns(PERSON, "username email", [""]),
    *columns(CHAT_AGENT, "name", ["", " "]),
    (CHAT_AGENT, {"user_id": NOBODY}, "agents_user_id_fkey"),
    *columns(WORKSPACE, "name", [""]),
    *columns(WORKSPACE, "context_window_size context_window_token_limit", [0, -1]),
    (WORKSPACE, {"owner_user_id": NOBODY}, "workspaces_owner_user_id_fkey"),
    *columns(MEMBER, "role", ["", "owner"]),
    (MEMBER, {"user_id": None}, "workspace_members_one_member"),
    (MEMBER, {"agent_id": ONE}, "workspace_members_one_member"),
    (MEMBER, {"team_id": ONE}, "workspace_members_one_member"),
    (MEMBER, {"user_id": NOBODY}, "workspace_members_user_id_fkey"),
    (MEMBER, {"user_id": None, "agent_id": NOBODY}, "workspace_members_agent_id_fkey"),
    (MEMBER, {"workspace_id": NOBODY}, "workspace_members_workspace_id_fkey"),
    (MEMBER, {"added_by_user_id": NOBODY}, "workspace_members_added_by_user_id_fkey"),
    *columns(CHANNEL, "name", [""]),
    (CHANNEL, {"workspace_id": NOBODY}, "chat_channels_workspace_id_fkey"),
    *columns(DATASTORE, "type", ["", "pgvector"]),
    *columns(DATASTORE, "config", NO_OBJECT),
    *columns(DATASTORE, "similarity_metric", ["", "l2"]),
    *columns(DATASTORE, "similarity_threshold", NO_SHARE),
    *columns(DATASTORE, "max_results", [0]),
    (DATASTORE, {"user_id": NOBODY}, "datastores_user_id_fkey"),
    (DATASTORE_LINK, {"agent_id": NOBODY}, "agent_datastores_agent_id_fkey"),
    (DATASTORE_LINK, {"datastore_id": NOBODY}, "agent_datastores_datastore_id_fkey"),
    *columns(STATE, "version", NO_VERSION),
    *columns(STATE, "local_state shared_state session_state persistent_state", NO_OBJECT),
    *columns(STATE, "state_hash", [""]),
    *columns(STATE, "modification_count", NEGATIVE),
    *columns(STATE, "valid_from", ["infinity", "-infinity"]),
    (STATE, {"is_current": False, "valid_until": "infinity"}, "agent_states_valid_until_check"),
    (STATE, {"is_current": False, "valid_until": EARLIER}, "agent_states_end_not_before_start"),
    (STATE, {"is_current": False}, "agent_states_current_is_open"),
    (STATE, {"valid_until": LATER}, "agent_states_current_is_open"),
    (STATE, {"agent_id": NOBODY}, "agent_states_agent_id_fkey"),
    *columns(CHECKPOINT, "checkpoint_type", ["", "daily"]),
    *columns(CHECKPOINT, "state_data", ["null", "[]", "1", "true"]),
    *columns(CHECKPOINT, "compression_type", ["", "lz4"]),
    *columns(CHECKPOINT, "size_bytes restoration_time_ms restoration_count", NEGATIVE),
    *columns(CHECKPOINT, "retention_policy", ["", "forever"]),
    *columns(CHECKPOINT, "expires_at", ["infinity"]),
    (CHECKPOINT, {"expires_at": EARLIER}, "state_checkpoints_expiry_not_before_creation"),
    (CHECKPOINT, {"retention_policy": "temporary"}, "state_checkpoints_temporary_expires"),
    (
        CHECKPOINT,
        {"retention_policy": "permanent", "expires_at": LATER},
        "state_checkpoints_permanent_stays",
    ),
    (CHECKPOINT, {"agent_id": NOBODY}, "state_checkpoints_agent_id_fkey"),
    (CHECKPOINT, {"state_id": NOBODY}, "state_checkpoints_state_of_agent"),
    *columns(TRANSITION, "transition_type", ["", "copy"]),
    *columns(TRANSITION, "trigger", ["", "cron"]),
    *columns(TRANSITION, "changes", NO_JSON_LIST_OR_OBJECT),
    (TRANSITION, {"from_state_id": ONE}, "state_transitions_moves"),
    (TRANSITION, {"agent_id": NOBODY}, "state_transitions_agent_id_fkey"),
    (TRANSITION, {"to_state_id": NOBODY}, "state_transitions_to_state_of_agent"),
    (TRANSITION, {"from_state_id": NOBODY}, "state_transitions_from_state_of_agent"),
    *columns(CONVERSATION, "status", ["", "terminated"]),
    *columns(CONVERSATION, "started_at", NO_EVENT_TIME, suffix="readable"),
    (
        CONVERSATION,
        {"status": "completed", "ended_at": AFTER_2099},
        "conversation_sessions_ended_at_check",
    ),
    (
        CONVERSATION,
        {"status": "completed", "ended_at": EARLIER},
        "conversation_sessions_end_not_before_start",
    ),
    (CONVERSATION, {"ended_at": LATER}, "conversation_sessions_open_has_no_end"),
    (
        CONVERSATION,
        {"status": "paused", "ended_at": LATER},
        "conversation_sessions_open_has_no_end",
    ),
    (
        CONVERSATION,
        {"user_id": None, "agent_id": None},
        "conversation_sessions_has_user_or_agent",
    ),
    *columns(CONVERSATION, "message_count total_tokens_used tool_calls_count", NEGATIVE),
    *columns(CONVERSATION, "session_state interruption_context", NO_OBJECT),
    (CONVERSATION, {"user_id": NOBODY}, "conversation_sessions_user_id_fkey"),
    (CONVERSATION, {"agent_id": NOBODY}, "conversation_sessions_agent_id_fkey"),
    *columns(OLD_MESSAGE, "content", [""]),
    *columns(OLD_MESSAGE, "metadata", NO_OBJECT),
    *columns(OLD_MESSAGE, "created_at", NO_EVENT_TIME, suffix="readable"),
    (OLD_MESSAGE, {"sender_user_id": None}, "chat_messages_has_sender"),
    (OLD_MESSAGE, {"channel_id": NOBODY}, "chat_messages_channel_id_fkey"),
    (OLD_MESSAGE, {"sender_user_id": NOBODY}, "chat_messages_sender_user_id_fkey"),
    (OLD_MESSAGE, {"sender_agent_id": NOBODY}, "chat_messages_sender_agent_id_fkey"),
    *columns(MESSAGE, "version", NO_VERSION),
    *columns(MESSAGE, "role", ["", "agent", "User"]),
    *each(MESSAGE, "content", NO_CONTENT, "check_content_structure"),
    *each(
        MESSAGE,
        "metadata",
        [
            *NO_OBJECT,
            '{"model": 1}',
            '{"temperature": "hot"}',
            '{"confidence": 1.1}',
            '{"confidence": "high"}',
            '{"tokens": "12"}',
            '{"tokens": -1}',
            '{"tokens": [12]}',
            '{"tokens": {"prompt": "1"}}',
            '{"tokens": {"total": -1}}',
            '{"tokens": 1e13}',
            '{"latency": 5}',
            '{"latency": {"total_ms": "5"}}',
            '{"latency": {"total_ms": -5}}',
            '{"source": "email"}',
        ],
        "check_metadata_structure",
    ),
    *each(
        MESSAGE,
        "context",
        [
            *NO_OBJECT,
            '{"thread_id": 1}',
            '{"topics": "refunds"}',
            '{"entities": {}}',
            '{"relevant_memories": "all"}',
            '{"memory_score": "0.5"}',
        ],
        "check_context_structure",
    ),
    *columns(MESSAGE, "tools audit", NO_JSON_LIST_OR_OBJECT),
    *columns(MESSAGE, "memory_refs", [[None], [ONE, None]]),
    *columns(MESSAGE, "created_at", NO_EVENT_TIME, suffix="readable"),
    (MESSAGE, {"parent_message_id": ONE}, "chat_messages_v2_check"),
    (MESSAGE, {"sender_user_id": None}, "chat_messages_v2_actor"),
    (MESSAGE, {"sender_agent_id": ONE}, "chat_messages_v2_actor"),
    (MESSAGE, {"role": "assistant", "sender_user_id": None}, "chat_messages_v2_actor"),
    (MESSAGE, {"role": "system", "sender_agent_id": ONE}, "chat_messages_v2_actor"),
    (MESSAGE, {"session_id": NOBODY}, "chat_messages_v2_session_id_fkey"),
    (MESSAGE, {"channel_id": NOBODY}, "chat_messages_v2_channel_id_fkey"),
    (MESSAGE, {"sender_user_id": NOBODY}, "chat_messages_v2_sender_user_id_fkey"),
    (
        MESSAGE,
        {"sender_user_id": None, "sender_agent_id": NOBODY},
        "chat_messages_v2_sender_agent_id_fkey",
    ),
    (MESSAGE, {"state_snapshot_id": NOBODY}, "chat_messages_v2_state_snapshot_id_fkey"),
    *columns(MESSAGE_VERSION, "version_number", [0, -1]),
    *columns(MESSAGE_VERSION, "content", NO_CONTENT),
    *columns(MESSAGE_VERSION, "metadata", NO_OBJECT),
    (MESSAGE_VERSION, {"session_id": NOBODY}, "message_versions_session_id_fkey"),
    (MESSAGE_VERSION, {"session_id": None, "message_id": NOBODY}, "session_id is null"),
    (MESSAGE_VERSION, {"changed_by": NOBODY}, "message_versions_changed_by_fkey"),
    (MEMORY, {"memory_type": "sensory"}, "agent_memories_memory_type_check"),
    *[
        (MEMORY, {"memory_type": kind, "content": content}, "check_memory_content")
        for kind, content in NO_MEMORY
    ],
    *columns(MEMORY, "importance", NO_SHARE),
    *columns(MEMORY, "decay_rate", NO_MEASURE),
    *columns(MEMORY, "access_count", NEGATIVE),
    *columns(MEMORY, "related_memories", [[None]]),
    *columns(MEMORY, "created_at", ["-infinity"]),
    *columns(MEMORY, "last_accessed", ["infinity"]),
    *columns(MEMORY, "expires_at", ["infinity"]),
    (MEMORY, {"expires_at": EARLIER}, "agent_memories_expiry_not_before_creation"),
    (MEMORY, {"embeddings": str([0] * 1536)}, "agent_memories_embeddings_has_direction"),
    (MEMORY, {"embeddings": "[1, 2, 3]"}, "22000"),
    (MEMORY, {"agent_id": NOBODY}, "agent_memories_agent_id_fkey"),
    *columns(CONSOLIDATION, "source_memories", [[], [None]]),
    *columns(CONSOLIDATION, "consolidation_type", ["", "delete"]),
    *columns(CONSOLIDATION, "tokens_saved", NEGATIVE),
    (CONSOLIDATION, {"agent_id": NOBODY}, "memory_consolidations_agent_id_fkey"),
    (
        CONSOLIDATION,
        {"consolidated_memory_id": NOBODY},
        "memory_consolidations_consolidated_memory_id_fkey",
    ),
    *columns(SNAPSHOT, "snapshot_data", NO_JSON_LIST_OR_OBJECT),
    *columns(
        SNAPSHOT,
        "total_tokens compression_ratio segment_count build_time_ms optimization_count",
        NEGATIVE,
    ),
    (SNAPSHOT, {"agent_id": NOBODY}, "context_snapshots_agent_id_fkey"),
    *columns(TEMPLATE, "name", [""]),
    *columns(
        TEMPLATE,
        "segments",
        [*NO_ARRAY, "[null]", '["system"]', "[{}]", '[{"type": null}]', '[{"type": "user"}]'],
    ),
    *columns(TEMPLATE, "variables", NO_JSON_LIST_OR_OBJECT),
    *columns(TEMPLATE, "total_tokens use_count", NEGATIVE),
]

CLIENT, AGENT, SESSION = "agentic.users", "agentic.agents", "agentic.agent_sessions"
DECISION, METRIC = "agentic.agent_decisions", "agentic.trust_metrics"
SAID, KNOWLEDGE = "agentic.conversation_history", "agentic.agent_knowledge"
AUDIT, CHAIN_HEAD = "agentic.agent_audit_log", "agentic.audit_chain_heads"
SCHEMA_VERSION = "agentic.schema_versions"

AGENTIC: list[Case] = [
    *columns(CLIENT, "email", [""]),
    *columns(AGENT, "name", [""]),
    *columns(AGENT, "persona_type", ["", "dev", "QA"]),
    *columns(
        AGENT,
        "capabilities",
        ["null", "1", '"review"', "[null]", '[""]', '["a", 1]', "[[]]", '{"": {}}'],
        suffix="shape",
    ),
    *columns(AGENT, "config", NO_OBJECT, suffix="is_object"),
    *columns(AGENT, "version", [0]),
    *columns(SESSION, "trust_level", [-1, 5]),
    *columns(SESSION, "session_state", ["", "abandoned"]),
    *columns(SESSION, "context metadata", NO_OBJECT, suffix="is_object"),
    *columns(SESSION, "version", [0]),
    *columns(SESSION, "started_at", NO_EVENT_TIME, suffix="readable"),
    (
        SESSION,
        {"session_state": "completed", "ended_at": AFTER_2099},
        "agent_sessions_ended_at_readable",
    ),
    (
        SESSION,
        {"session_state": "completed", "ended_at": EARLIER},
        "agent_sessions_ends_after_start",
    ),
    (SESSION, {"ended_at": LATER}, "agent_sessions_open_has_no_end"),
    (SESSION, {"agent_id": NOBODY}, "agent_sessions_agent_id_fkey"),
    (SESSION, {"user_id": NOBODY}, "agent_sessions_user_id_fkey"),
    *columns(DECISION, "decision_type", ["", "deploy"]),
    *columns(DECISION, "input_context action_taken metadata", NO_OBJECT, suffix="is_object"),
    *columns(DECISION, "confidence_score", NO_SHARE),
    *columns(DECISION, "user_feedback", ["", "accepted"]),
    *columns(DECISION, "execution_time_ms", NEGATIVE),
    *columns(DECISION, "created_at", NO_EVENT_TIME, suffix="readable"),
    (DECISION, {"session_id": NOBODY}, "agent_decisions_session_id_fkey"),
    *columns(METRIC, "metric_type", ["", "speed"]),
    *[
        (METRIC, {"metric_type": kind, "metric_value": value}, "trust_metrics_value_in_range")
        for kind, value in [
            ("accuracy", -0.01),
            ("accuracy", 100.01),
            ("accuracy", "NaN"),
            ("autonomy", 999.99),
            ("complexity", 10.01),
            ("complexity", -50),
            ("reliability", 100.5),
            ("efficiency", "Infinity"),
        ]
    ],
    *columns(METRIC, "measurement_context", NO_OBJECT, suffix="is_object"),
    *columns(METRIC, "recorded_at", NO_EVENT_TIME, suffix="readable"),
    (METRIC, {"session_id": NOBODY}, "trust_metrics_session_id_fkey"),
    *columns(SAID, "role", ["", "assistant"]),
    *columns(SAID, "message_type", ["", "image"]),
    *columns(SAID, "tokens_used", NEGATIVE),
    *columns(SAID, "metadata", NO_OBJECT, suffix="is_object"),
    *columns(SAID, "created_at", NO_EVENT_TIME, suffix="readable"),
    (SAID, {"parent_message_id": ONE}, "conversation_history_not_its_own_parent"),
    (SAID, {"session_id": NOBODY}, "conversation_history_session_id_fkey"),
    *columns(KNOWLEDGE, "knowledge_type", ["", "fact"]),
    *columns(KNOWLEDGE, "domain", ["", "sales"]),
    *columns(KNOWLEDGE, "content", NO_OBJECT, suffix="is_object"),
    *columns(KNOWLEDGE, "usage_count", NEGATIVE),
    *columns(KNOWLEDGE, "success_rate", NO_SHARE),
    (KNOWLEDGE, {"success_count": 1}, "agent_knowledge_success_within_usage"),
    (KNOWLEDGE, {"success_count": -1}, "agent_knowledge_success_within_usage"),
    (KNOWLEDGE, {"embedding": str([0] * 1536)}, "agent_knowledge_embedding_has_direction"),
    (KNOWLEDGE, {"embedding": "[1, 2]"}, "22000"),
    (KNOWLEDGE, {"agent_id": NOBODY}, "agent_knowledge_agent_id_fkey"),
    *columns(CHAIN_HEAD, "sequence", [0]),
    *columns(CHAIN_HEAD, "row_hash", [b"", b"\0" * 31]),
    *columns(AUDIT, "action_type", [""]),
    *columns(
        AUDIT,
        "action_details",
        [*NO_OBJECT, '{"status": 1}', '{"status": ["failed"]}'],
        suffix="shape",
    ),
    *columns(AUDIT, "risk_level", ["", "severe"]),
    *columns(AUDIT, "timestamp", NO_EVENT_TIME, suffix="readable"),
    (AUDIT, {"agent_id": NOBODY}, "agent_audit_log_agent_id_fkey"),
    (AUDIT, {"ip_address": "localhost"}, "22P02"),
    *columns(SCHEMA_VERSION, "version_number", [""]),
    *columns(SCHEMA_VERSION, "execution_time_ms", NEGATIVE),
]

# Columns that must have a value; all of these but the keys of parents have a default or are asked for.
REQUIRED: dict[str, str] = {
    TRACE: "trace_id workflow_name status created_at updated_at",
    SPAN: "span_id trace_id name kind status start_time created_at updated_at",
    REPLAY: "original_span_id status",
    PROFILE: "email role",
    WORKFLOW: "user_id name nodes edges",
    RUN: "workflow_id execution_id started_at status",
    STEP: "trace_id span_id span_type name status started_at",
    COST: "execution_id node_id node_type category created_at",
    PERIOD: "period_type period_start period_end",
    USAGE: "cost duration_ms status created_at",
    PATTERN: "pattern_hash keywords agent_sequence success_count failure_count is_active",
    PATTERN_USE: "pattern_id used_at",
    CHAIN: "chain_pattern occurrence_count",
    ERROR: "error_type error_message_pattern error_count",
    EXECUTION: "correlation_id root_id session_id source started_at status",
    ROUTING: "trace_id agent_selected confidence_score routing_strategy created_at",
    HOOK: "trace_id hook_type hook_name execution_order started_at status",
    CALL: "trace_id service endpoint_url method success started_at",
    CHAT_AGENT: "user_id name description active",
    WORKSPACE: "name owner_user_id context_window_size context_window_token_limit",
    MEMBER: "workspace_id role",
    CHANNEL: "workspace_id name",
    DATASTORE: "user_id name description type config",
    DATASTORE_LINK: "agent_id datastore_id",
    STATE: "agent_id version local_state persistent_state state_hash valid_from is_current",
    CHECKPOINT: "agent_id state_id checkpoint_type state_data",
    TRANSITION: "agent_id to_state_id transition_type changes",
    CONVERSATION: "conversation_id started_at message_count total_tokens_used status",
    OLD_MESSAGE: "content created_at",
    MESSAGE: "conversation_id session_id role content version created_at",
    MESSAGE_VERSION: "message_id version_number content",
    MEMORY: "agent_id memory_type content importance decay_rate",
    CONSOLIDATION: "agent_id source_memories consolidation_type",
    SNAPSHOT: "snapshot_data",
    TEMPLATE: "name segments",
    CLIENT: "email is_active",
    AGENT: "name persona_type capabilities version is_active created_at updated_at",
    SESSION: "agent_id trust_level started_at session_state version",
    DECISION: "session_id decision_type input_context action_taken created_at",
    METRIC: "session_id metric_type metric_value recorded_at",
    SAID: "session_id role content created_at",
    KNOWLEDGE: "agent_id knowledge_type domain content usage_count",
    AUDIT: "agent_id action_type action_details timestamp",
    SCHEMA_VERSION: "version_number applied_at",
}

CASES = [
    *RAAF,
    *OBSERVABILITY,
    *TRACEABILITY,
    *CHAT,
    *AGENTIC,
    *[
        (table, {column: None}, f"{column} is null")
        for table, names in REQUIRED.items()
        for column in names.split()
    ],
    *[
        (table, {column: None}, f"{column} is null")
        for table in ROWS
        for column in ("tenant_id", "change_id")
    ],
]

# Refused because the base row is there already. Constraints of a partition have its name.
TWICE: list[Case] = [
    (TRACE, {}, "raaf_tracing_traces_pkey"),
    (SPAN, {}, "raaf_tracing_spans_default_pkey"),
    (PROFILE, {"id": TWO}, "profiles_email_key"),
    (RUN, {"trace_id": TWO}, "traces_execution_id_key"),
    (STEP, {}, "spans_default_pkey"),
    (PERIOD, {}, "cost_aggregations_tenant_id_workflow_id_user_id_period_type_key"),
    (PATTERN, {"id": TWO}, "success_patterns_tenant_id_pattern_hash_key"),
    (PATTERN_USE, {}, "pattern_usage_log_default_pkey"),
    (CHAIN, {}, "agent_chaining_patterns_tenant_id_chain_pattern_key"),
    (ERROR, {}, "error_patterns_tenant_id_error_type_error_message_pattern_key"),
    (EXECUTION, {"id": TWO}, "execution_traces_correlation_id_key"),
    (PERSON, {"id": TWO, "email": None}, "users_username_key"),
    (PERSON, {"id": TWO, "username": None}, "users_email_key"),
    (DATASTORE_LINK, {}, "agent_datastores_agent_id_datastore_id_key"),
    (STATE, {"id": TWO}, "unique_current_state"),
    (MESSAGE, {}, "chat_messages_v2_default_pkey"),
    (MESSAGE_VERSION, {}, "message_versions_number"),
    (TEMPLATE, {}, "context_templates_tenant_id_name_key"),
    (CLIENT, {"user_id": TWO}, "users_email_key"),
    (DECISION, {}, "agent_decisions_default_pkey"),
    (SAID, {}, "conversation_history_default_pkey"),
    (AUDIT, {}, "agent_audit_log_default_pkey"),
    (SCHEMA_VERSION, {}, "schema_versions_version_number_key"),
]

# Refused changes of the base row. `before` is run first; it must succeed.
UPDATES: list[tuple[str, str, str, str]] = [
    (SPAN, "", "start_time = null", "start_time is null"),
    (STEP, "", "started_at = null", "started_at is null"),
    (HOOK, "", "started_at = null", "started_at is null"),
    (CALL, "", "started_at = null", "started_at is null"),
    (PATTERN_USE, "", "used_at = null", "used_at is null"),
    (MESSAGE, "", "created_at = null", "created_at is null"),
    (DECISION, "", "created_at = null", "created_at is null"),
    (SAID, "", "created_at = null", "created_at is null"),
    (SPAN, "", "start_time = 'infinity'", "raaf_tracing_spans_start_time_readable"),
    (SPAN, "", f"end_time = '{EARLIER}'", "raaf_tracing_spans_end_not_before_start"),
    (RUN, "", f"completed_at = '{EARLIER}'", "traces_end_not_before_start"),
    (MESSAGE, "", "content = '{\"type\": null}'", "check_content_structure"),
    (PATTERN, "", "success_count = success_count - 1", "success_patterns_success_count_check"),
    (STATE, "", f"valid_until = '{LATER}'", "agent_states_current_is_open"),
    (AGENT, "", "name = 'Other'", "AB409"),
    (AGENT, "", "name = 'Other', version = 1", "AB409"),
    (AGENT, "update agentic.agents set version = 2", "version = 2", "AB409"),
    (AGENT, "", "version = 3", "AB409"),
    (SESSION, "", "trust_level = 1", "AB409"),
    (SESSION, "update agentic.agent_sessions set version = 2", "version = 2", "AB409"),
    (AUDIT, "", "action_type = 'other'", "AB405"),
    (AUDIT, "", "risk_level = 'low'", "AB405"),
    (AUDIT, "", "ip_address = null", "AB405"),
    (AUDIT, "", '"timestamp" = null', "AB405"),
]

ENDED = f"update agentic.agent_sessions set session_state = 'completed', ended_at = '{LATER}', version = 2"
CHAT_ENDED = f"update chat.conversation_sessions set status = 'completed', ended_at = '{LATER}'"
AFTER_END = "2020-03-01 10:00:06+00"

# (what is done first, table, change to its base row, what refuses it)
AFTER: list[tuple[str, str, Row, str]] = [
    (ENDED, DECISION, {"created_at": AFTER_END}, "AB410"),
    (ENDED, SAID, {"created_at": AFTER_END}, "AB410"),
    (CHAT_ENDED, MESSAGE, {"created_at": AFTER_END}, "AB410"),
    (
        "update chat.conversation_sessions set status = 'abandoned'",
        MESSAGE,
        {"created_at": EVENT},
        "AB410",
    ),
    (
        f"insert into chat.agents (id, user_id, name, description) values ('{TWO}', '{ONE}', 'B', '')",
        CHECKPOINT,
        {"agent_id": TWO},
        "state_checkpoints_state_of_agent",
    ),
    (
        f"insert into chat.agents (id, user_id, name, description) values ('{TWO}', '{ONE}', 'B', '')",
        TRANSITION,
        {"agent_id": TWO},
        "state_transitions_to_state_of_agent",
    ),
]

# Constraints that no writer can run into. The chain's trigger overwrites what is sent for its own
# columns, and the key that two foreign keys need holds the primary key.
UNREACHABLE = {
    *[
        (AUDIT, f"agent_audit_log_{column}_check")
        for column in ("sequence", "previous_hash", "row_hash", "commitments", "salts")
    ],
    (STATE, "agent_states_of_agent"),
}

# Columns that hold any JSON value, null included.
ANY_JSON = {
    (REPLAY, "system_prompt"),
    (STEP, "inputs"),
    (STEP, "outputs"),
    (HOOK, "input_data"),
    (HOOK, "output_data"),
    (HOOK, "modifications_made"),
    (CALL, "request_body"),
    (CALL, "response_body"),
    (TRANSITION, "rollback_data"),
}


def what_refuses(connection: psycopg.Connection, statement: sql.Composed | tuple[str, Row]) -> str:
    """Run a statement, or insert a row, and name what refuses it."""
    try:
        if isinstance(statement, tuple):
            insert(connection, *statement)
        else:
            connection.execute(statement)
    except psycopg.Error as error:
        if error.sqlstate == "23502":
            return f"{error.diag.column_name} is null"
        return error.diag.constraint_name or str(error.sqlstate)
    return "nothing"


def case_id(case: object) -> str | None:
    """Name a case by its table and columns."""
    if isinstance(case, dict):
        return "-".join(case) or "again"
    return case.split(".")[-1] if isinstance(case, str) and case in ROWS else None


@pytest.mark.parametrize("table", ROWS)
def test_the_base_row_is_taken(transaction: psycopg.Connection, table: str) -> None:
    """The cases below would all pass if nothing at all were taken."""
    insert_parents(transaction, table)

    assert what_refuses(transaction, (table, ROWS[table])) == "nothing", (
        "the base row in raw_rows.py must be valid: correct it there"
    )


@pytest.mark.parametrize(("table", "changes", "expected"), CASES, ids=case_id)
def test_a_bad_row_is_refused(
    transaction: psycopg.Connection, table: str, changes: Row, expected: str
) -> None:
    """A row that no reader can make sense of came in, and every number over it was wrong for ever."""
    insert_parents(transaction, table)

    found = what_refuses(transaction, (table, ROWS[table] | changes))

    assert found == expected, f"{table} with {changes}: refused by {found}, expected {expected}"


@pytest.mark.parametrize(("table", "changes", "expected"), TWICE, ids=case_id)
def test_a_second_row_with_the_same_key_is_refused(
    transaction: psycopg.Connection, table: str, changes: Row, expected: str
) -> None:
    """A writer's retry made a second row, and everything about it counted twice."""
    insert_parents(transaction, table)
    insert(transaction, table, ROWS[table])

    found = what_refuses(transaction, (table, ROWS[table] | changes))

    assert found == expected, (
        f"{table} with {changes} again: refused by {found}, expected {expected}"
    )


@pytest.mark.parametrize(("table", "before", "assignment", "expected"), UPDATES, ids=case_id)
def test_a_bad_update_is_refused(
    transaction: psycopg.Connection, table: str, before: str, assignment: str, expected: str
) -> None:
    """What no insert can do, an update did: it lost the time of an event, or another's change."""
    insert_parents(transaction, table)
    insert(transaction, table, ROWS[table])
    if before:
        transaction.execute(before.encode())

    update = sql.SQL("update {} set {}").format(
        sql.Identifier(*table.split(".")), sql.SQL(assignment)
    )
    found = what_refuses(transaction, update)

    assert found == expected, f"{table} set {assignment}: refused by {found}, expected {expected}"


@pytest.mark.parametrize(("before", "table", "changes", "expected"), AFTER, ids=case_id)
def test_a_row_is_refused_for_what_was_done_before(
    transaction: psycopg.Connection, before: str, table: str, changes: Row, expected: str
) -> None:
    """An agent went on deciding in a session that had ended, or took over another agent's state."""
    insert_parents(transaction, table)
    transaction.execute(before.encode())

    found = what_refuses(transaction, (table, ROWS[table] | changes))

    assert found == expected, f"{before}; {table} with {changes}: {found}, expected {expected}"


@pytest.mark.parametrize("statement", ["delete from", "truncate"])
def test_audit_rows_cannot_be_removed(transaction: psycopg.Connection, statement: str) -> None:
    """Whoever had done it deleted the entry about it."""
    insert_parents(transaction, AUDIT)
    insert(transaction, AUDIT, ROWS[AUDIT])

    table = sql.SQL(statement + " {}").format(sql.Identifier(*AUDIT.split(".")))

    assert what_refuses(transaction, table) == "AB405"


def test_json_null_is_refused_wherever_json_has_a_shape(transaction: psycopg.Connection) -> None:
    """A driver sent JSON's null for no value, and `is null` did not find it."""
    found = transaction.execute(
        """
        select n.nspname || '.' || c.relname, a.attname
        from pg_attribute as a
        join pg_class as c on c.oid = a.attrelid and c.relkind in ('r', 'p') and not c.relispartition
        join pg_namespace as n on n.oid = c.relnamespace
        where a.atttypid = 'jsonb'::regtype and a.attnum > 0 and not a.attisdropped
            and n.nspowner = 'agentbooks_owner'::regrole
        """
    ).fetchall()
    json_columns = {(table, column) for table, column in found if table in ROWS}

    taken = set()
    for table, column in json_columns - {(AUDIT, "commitments"), (AUDIT, "salts")}:
        insert_parents(transaction, table)
        if what_refuses(transaction, (table, ROWS[table] | {column: "null"})) == "nothing":
            taken.add((table, column))
        transaction.rollback()

    assert taken == ANY_JSON, (
        f"{taken ^ ANY_JSON}: add a CHECK of its shape to the column, or name it in ANY_JSON"
    )


def test_every_constraint_refuses_something(transaction: psycopg.Connection) -> None:
    """A constraint was written so that nothing ever violates it, and nobody noticed."""
    found = transaction.execute(
        """
        select n.nspname || '.' || c.relname, k.conname
        from pg_constraint as k
        join pg_class as c on c.oid = k.conrelid and not c.relispartition
        join pg_namespace as n on n.oid = c.relnamespace
        where n.nspowner = 'agentbooks_owner'::regrole and k.contype in ('c', 'f', 'u')
        """
    ).fetchall()
    hit = {(table, expected) for table, _, expected in CASES + TWICE}
    hit |= {(table, expected) for _, table, _, expected in AFTER}

    not_hit = {(table, name) for table, name in found if table in ROWS} - hit - UNREACHABLE

    assert not not_hit, f"add a row that each of these refuses: {sorted(not_hit)}"


def test_the_corpus_is_as_large_as_it_claims() -> None:
    """A case that stands twice counts for two and tests one thing."""
    doubled = [case for case, times in Counter(map(str, CASES)).items() if times > 1]

    assert not doubled, f"remove one of each: {doubled}"
    assert len(CASES) >= 200
