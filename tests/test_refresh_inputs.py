"""Each row that a refreshed table is computed from is changed in turn: the refresh must notice."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from raw_rows import EVENT, LATER, ONE, ROWS, TWO, Row, insert

from orchestration import loader, simulate
from orchestration.dbt import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refreshing import Refresher

THE_DAY_BEFORE = "2020-02-29 10:00:00+00"
NEXT_DAY = "2020-03-02 10:00:00+00"
UNUSED = "00000000-0000-4000-8000-000000000009"
LOADED = '{"loader": {}, "run_id": "run_1"'

# What the base rows of the raw tables need to be seen in the marts: one run in each source system,
# with calls, tools, messages, a verdict and a pattern's use.
SETTING: dict[str, Row] = {
    "raaf.raaf_tracing_traces": {"started_at": THE_DAY_BEFORE},
    "raaf.raaf_tracing_spans": {"input_tokens": 5, "agent_model": "gpt-4o"},
    "observability.traces": {
        "metadata": LOADED + ', "agent": {"name": "walker"}, "domain": "backend", "task_id": "t"}',
    },
    "observability.spans": {
        "model": "gpt-4.1-mini",
        "tokens": '{"input_tokens": 10, "output_tokens": 2}',
    },
    "traceability.success_patterns": {},
    "traceability.execution_traces": {"success": True, "duration_ms": 7},
    "traceability.agent_routing_decisions": {},
    "traceability.hook_executions": {
        "hook_type": "PostToolUse",
        "tool_name": "Write",
        "duration_ms": 5,
    },
    "traceability.pattern_usage_log": {"trace_id": ONE},
    "chat.users": {},
    "chat.agents": {},
    "chat.conversation_sessions": {},
    "chat.chat_messages_v2": {"id": "00000000-0000-4000-8000-00000000c4a7"},
    "agentic.users": {},
    "agentic.agents": {"config": '{"model": "gpt-4.1-mini", "version": "1"}'},
    "agentic.agent_sessions": {"context": '{"domain": "backend", "task_id": "t"}'},
    "agentic.agent_decisions": {
        "user_feedback": "approved",
        "confidence_score": 0.9,
        "metadata": LOADED + "}",
    },
    "agentic.agent_audit_log": {
        "action_type": "write",
        "risk_level": "critical",
        "action_details": '{"status": "failed"}',
    },
    "agentic.conversation_history": {},
    "agentic.trust_metrics": {},
}


@dataclass(frozen=True)
class Life:
    """What happens to a second row of a relation, between its coming and its going.

    A change is one transaction: statements, of which `set …` means that row.
    """

    where: str
    row: Row | None
    changes: tuple[str, ...]

    def transactions(self, relation: str) -> Iterator[str | Row]:
        """Give the row that comes, each change, and the row's going."""
        if self.row is not None:
            yield self.row
        for change in self.changes:
            yield re.sub(
                "^set [^;]*",
                lambda part: f"update {relation} {part[0].rstrip()} where {self.where}",
                change,
            )
        if self.row is not None:
            yield f"delete from {relation} where {self.where}"


LIVES = {
    "raaf.raaf_tracing_traces": Life(
        "trace_id = 'trace_2'",
        {"trace_id": "trace_2", "created_at": EVENT, "started_at": None},
        (
            "set workflow_name = 'Return'",
            "set created_at = created_at + interval '1 day'",
            "insert into raaf.raaf_tracing_spans"
            " (trace_id, span_id, name, kind, agent_name, agent_model, start_time) values"
            f" ('trace_2', 'span_2', 'a', 'agent', 'solver', 'gpt-4.1-mini', '{NEXT_DAY}'),"
            f" ('trace_2', 'span_3', 'b', 'tool', null, null, '2020-03-07')",
            f"set started_at = '{EVENT}'",
            "set started_at = started_at + interval '3 days'",
            "set started_at = null",
            "set status = 'completed'",
            "set tenant_id = 'other'",
        ),
    ),
    "raaf.raaf_tracing_spans": Life(
        "span_id = 'span_2'",
        {
            "span_id": "span_2",
            "start_time": NEXT_DAY,
            "input_tokens": 7,
            "output_tokens": 1,
            "agent_model": "gpt-4.1-mini",
        },
        (
            "set input_tokens = 8",
            "set agent_model = 'claude-sonnet-4-5'",
            "set start_time = start_time + interval '1 day'",
            "set start_time = start_time + interval '70 days'",
            "set kind = 'tool'",
            "set name = 'ask_user'",
            "set status = 'error'",
            "set call_fee_cents = 3",
            "set end_time = '2020-06-01', kind = 'agent', agent_name = 'solver'",
            "set agent_model = 'gpt-4.1'",
            "set kind = 'llm'",
            "update raaf.raaf_tracing_spans set kind = 'agent', agent_name = 'planner'"
            " where span_id = 'span_1'",
            "set kind = 'tool'",
            "set kind = 'llm'",
            "update raaf.raaf_tracing_spans set agent_model = null where span_id = 'span_1'",
            "set kind = 'tool'",
            "set kind = 'llm'",
            "update raaf.raaf_tracing_spans set kind = 'llm', agent_model = 'gpt-4o'"
            " where span_id = 'span_1'",
            "insert into raaf.raaf_tracing_traces (trace_id, started_at)"
            " values ('trace_2', '2020-03-05')",
            "set trace_id = 'trace_2'",
            "set trace_id = 'trace_1'; delete from raaf.raaf_tracing_traces where trace_id = 'trace_2'",
            "set kind = 'tool'",
            "set kind = 'agent', status = 'error',"
            ' execution_metadata = \'{"handoffs": [{"from_agent": "a", "to_agent": "b"}]}\'',
            "insert into raaf.raaf_tracing_spans"
            " (trace_id, span_id, name, kind, start_time, span_attributes) values"
            " ('trace_1', 'span_3', 'b', 'handoff', '2020-03-07',"
            ' \'{"handoff.from": "b", "handoff.to": "c"}\')',
            "update raaf.raaf_tracing_spans set duration_ms = 9 where span_id = 'span_3'",
            "update raaf.raaf_tracing_spans set start_time = '2020-03-09' where span_id = 'span_3'",
            "delete from raaf.raaf_tracing_spans where span_id = 'span_3'",
            "set kind = 'tool'",
        ),
    ),
    "observability.traces": Life(
        f"trace_id = '{TWO}'",
        {
            "trace_id": TWO,
            "execution_id": "e2",
            "metadata": '{"agent": {"name": "walker", "model": "gpt-4.1-mini"},'
            ' "agent_cost_usd": 0.5, "task_id": "t", "domain": "backend"}',
        },
        (
            "set started_at = started_at + interval '1 day'",
            "set status = 'failed'",
            "set metadata = jsonb_set(metadata, '{agent_cost_usd}', '0.75')",
            "set metadata = jsonb_set(metadata, '{agent, model}', '\"gpt-4.1\"')",
            "set metadata = jsonb_set(metadata, '{domain}', '\"frontend\"')",
            'set metadata = metadata || \'{"user_id": "ann", "counterpart_cost_usd": 0.25}\'',
            "insert into observability.spans"
            " (trace_id, span_type, name, started_at, duration_ms, tokens, model)"
            f" values ('{TWO}', 'llm', 'answer', '2020-03-07', 6000,"
            """ '{"input_tokens": 3, "output_tokens": 1}', 'gpt-4.1-mini')""",
            "insert into observability.spans (trace_id, span_type, name, started_at)"
            f" values ('{TWO}', 'agent_tool_call', 'search', '2020-03-08')",
            "set workflow_id = 'billing'",
            "insert into observability.spans (trace_id, span_type, name, started_at)"
            f" values ('{TWO}', 'agent_tool_call', 'ask_user', '2020-03-07')",
            'set metadata = metadata || \'{"loader": {}, "run_id": "run_2"}\'',
            'set metadata = metadata || \'{"run_id": "run_3"}\','
            " started_at = started_at + interval '1 day'",
            "update observability.traces set metadata = metadata || jsonb_build_object('run_id',"
            " case metadata ->> 'run_id' when 'run_1' then 'run_3' else 'run_1' end)"
            f" where trace_id in ('{ONE}', '{TWO}')",
            "update observability.traces set metadata = metadata || jsonb_build_object('run_id',"
            " case metadata ->> 'run_id' when 'run_1' then 'run_3' else 'run_1' end)"
            f" where trace_id in ('{ONE}', '{TWO}')",
        ),
    ),
    "observability.spans": Life(
        f"span_id = '{TWO}'",
        {
            "span_id": TWO,
            "started_at": NEXT_DAY,
            "model": "gpt-4.1-mini",
            "tokens": '{"input_tokens": 4, "output_tokens": 2}',
        },
        (
            'set tokens = \'{"input_tokens": 5, "output_tokens": 2}\'',
            "set cost = 0.125",
            "set model = 'gpt-4.1'",
            'set metadata = \'{"payer": "counterpart"}\'',
            "set started_at = started_at + interval '1 day'",
            "set started_at = started_at + interval '70 days'",
            "set span_type = 'agent_tool_call'",
            "set name = 'ask_user'",
            "set status = 'failed'",
            "insert into observability.traces (trace_id, workflow_id, execution_id, started_at)"
            f" values ('{TWO}', 'unknown', 'e2', '{NEXT_DAY}')",
            f"set trace_id = '{TWO}'",
            f"set trace_id = '{ONE}', started_at = '{LATER}', span_type = 'llm';"
            f" delete from observability.traces where trace_id = '{TWO}'",
            f"update observability.spans set tokens = '{{}}' where span_id = '{ONE}'",
        ),
    ),
    "traceability.success_patterns": Life(
        f"id = '{TWO}'",
        {"id": TWO, "pattern_hash": "ffffffffffffffff"},
        (
            "set agent_sequence = '{planner,coder}'",
            f"insert into traceability.pattern_usage_log (pattern_id, used_at, success)"
            f" values ('{TWO}', '2020-03-07', true)",
        ),
    ),
    "traceability.pattern_usage_log": Life(
        f"id = '{TWO}'",
        {"id": TWO, "used_at": NEXT_DAY, "metadata": LOADED + "}"},
        (
            "set success = false",
            "set used_at = used_at + interval '1 day'",
            "set used_at = used_at + interval '70 days'",
            f"set trace_id = '{ONE}', metadata = '{{}}'",
            "set success = null",
            "insert into traceability.success_patterns (id, pattern_hash, keywords, agent_sequence)"
            f" values ('{TWO}', 'ffffffffffffffff', '{{a}}', '{{b}}')",
            f"set pattern_id = '{TWO}'",
            f"set pattern_id = '{ONE}';"
            f" delete from traceability.success_patterns where id = '{TWO}'",
        ),
    ),
    "traceability.execution_traces": Life(
        f"id = '{TWO}'",
        {"id": TWO, "correlation_id": TWO, "root_id": TWO, "success": False, "duration_ms": 8},
        (
            "set started_at = started_at + interval '1 day'",
            "set user_id = 'ann'",
            "set status = 'failed', error_type = 'TimeoutError'",
            "set success = true",
            "insert into traceability.hook_executions"
            " (trace_id, hook_type, hook_name, execution_order, tool_name, started_at)"
            f" values ('{TWO}', 'PostToolUse', 'log', 1, 'Write', '2020-03-07')",
            "insert into traceability.endpoint_calls"
            " (trace_id, service, endpoint_url, method, success, started_at)"
            f" values ('{TWO}', 'RAG', '/api', 'GET', false, '2020-03-08')",
            "insert into traceability.hook_executions"
            " (trace_id, hook_type, hook_name, execution_order, tool_name, started_at)"
            f" values ('{TWO}', 'PostToolUse', 'log', 2, 'ask_user', '2020-03-07')",
            f"set parent_id = '{ONE}', root_id = '{ONE}'",
            "set duration_ms = 9000",
            "insert into traceability.agent_routing_decisions (trace_id, agent_selected,"
            " confidence_score, routing_strategy, created_at, execution_started_at, execution_completed_at)"
            f" values ('{TWO}', 'tester', 0.4, 'explicit', '2020-03-11', '{EVENT}', '{LATER}')",
            f"set parent_id = null, root_id = '{TWO}'",
            "set correlation_id = 'ffffffff-0000-4000-8000-000000000002'",
            f"set correlation_id = '{TWO}'",
            f"set parent_id = '{ONE}', root_id = '{ONE}'",
            "update traceability.execution_traces set"
            " correlation_id = 'ffffffff-0000-4000-8000-000000000001',"
            " root_id = 'ffffffff-0000-4000-8000-000000000001'"
            f" where id = '{ONE}'",
            f"update traceability.execution_traces set correlation_id = '{ONE}', root_id = '{ONE}'"
            f" where id = '{ONE}'",
            f"update traceability.pattern_usage_log set trace_id = '{TWO}' where id = '{ONE}'",
            f"set parent_id = null, root_id = '{TWO}', success = false",
            f"update traceability.pattern_usage_log set trace_id = '{ONE}' where id = '{ONE}';"
            f" update traceability.execution_traces set success = null where id = '{ONE}'",
            f"update traceability.execution_traces set success = true where id = '{ONE}'",
        ),
    ),
    "traceability.agent_routing_decisions": Life(
        f"id = '{TWO}'",
        {"id": TWO, "agent_selected": "tester", "created_at": NEXT_DAY},
        (
            "set agent_selected = 'reviewer'",
            "insert into traceability.execution_traces"
            " (id, correlation_id, root_id, parent_id, session_id, source, started_at)"
            f" values ('{TWO}', '{TWO}', '{ONE}', '{ONE}', '{ONE}', 'api', '2020-03-05')",
            "set confidence_score = 0.35, cache_hit = true",
            "set created_at = '2019-12-31'",
            f"delete from traceability.execution_traces where id = '{TWO}'",
            f"set created_at = '{NEXT_DAY}'",
            "insert into traceability.execution_traces"
            " (id, correlation_id, root_id, session_id, source, started_at)"
            f" values ('{TWO}', '{TWO}', '{TWO}', '{ONE}', 'api', '2020-03-05')",
            f"set trace_id = '{TWO}'",
            f"set trace_id = '{ONE}'; delete from traceability.execution_traces where id = '{TWO}'",
        ),
    ),
    "traceability.hook_executions": Life(
        f"id = '{TWO}'",
        {
            "id": TWO,
            "started_at": NEXT_DAY,
            "hook_type": "PostToolUse",
            "tool_name": "Write",
            "execution_order": 2,
            "duration_ms": 6,
        },
        (
            "set status = 'failed'",
            "set started_at = started_at + interval '1 day'",
            "set started_at = started_at + interval '70 days'",
            "set tool_name = null",
            "set tool_name = 'ask_user'",
            "set tool_name = 'Read'",
            "insert into traceability.execution_traces"
            " (id, correlation_id, root_id, session_id, source, started_at)"
            f" values ('{TWO}', '{TWO}', '{TWO}', '{ONE}', 'api', '2020-03-05')",
            f"set trace_id = '{TWO}'",
            f"set trace_id = '{ONE}'; delete from traceability.execution_traces where id = '{TWO}'",
        ),
    ),
    "traceability.endpoint_calls": Life(
        f"id = '{TWO}'",
        {"id": TWO, "started_at": NEXT_DAY, "success": False, "duration_ms": 6},
        (
            "set error_type = 'timeout'",
            "set started_at = started_at + interval '1 day'",
            "set started_at = started_at + interval '70 days'",
            "set success = true, retry_count = 2",
            "set success = false",
            "insert into traceability.execution_traces"
            " (id, correlation_id, root_id, session_id, source, started_at)"
            f" values ('{TWO}', '{TWO}', '{TWO}', '{ONE}', 'api', '2020-03-05')",
            f"set trace_id = '{TWO}'",
            f"set trace_id = '{ONE}'; delete from traceability.execution_traces where id = '{TWO}'",
        ),
    ),
    "traceability.error_patterns": Life(
        f"id = '{TWO}'",
        {
            "id": TWO,
            "error_type": "unclassified",
            "severity": "low",
            "error_count": 3,
            "resolution_success_rate": 0.5,
        },
        (
            f"insert into traceability.endpoint_calls"
            " (trace_id, service, endpoint_url, method, success, started_at)"
            f" values ('{ONE}', 'RAG', '/api', 'GET', false, '2020-03-08')",
            "set severity = 'high', error_category = 'network'",
            "set error_count = 5",
        ),
    ),
    "chat.agents": Life(
        f"id = '{TWO}'",
        {"id": TWO, "name": "Poet"},
        (
            f"insert into chat.conversation_sessions (conversation_id, user_id, agent_id, started_at)"
            f" values ('{TWO}', '{ONE}', '{TWO}', '2020-03-07')",
            "set name = 'Bard'",
            f"update chat.conversation_sessions set agent_id = '{TWO}' where id = '{ONE}'",
            f"set name = 'Muse'; update chat.conversation_sessions set agent_id = '{ONE}'"
            f" where id = '{ONE}'",
        ),
    ),
    "chat.conversation_sessions": Life(
        f"id = '{TWO}'",
        {"id": TWO, "conversation_id": TWO},
        (
            "set started_at = started_at + interval '1 day'",
            "insert into chat.chat_messages_v2"
            " (conversation_id, session_id, role, sender_agent_id, content, metadata, created_at)"
            f" values ('{TWO}', '{TWO}', 'assistant', '{ONE}', '{{\"type\": \"text\", \"text\": \"a\"}}',"
            """ '{"model": "gpt-4.1-mini", "tokens": {"prompt": 4, "completion": 5}}', '2020-03-07')""",
            "insert into chat.users (id, username, email) "
            f" values ('{TWO}', 'bob', 'b@example.org')",
            f"set user_id = '{TWO}'",
            "set started_at = started_at - interval '70 days'",
            f"set user_id = '{ONE}'; delete from chat.users where id = '{TWO}'",
        ),
    ),
    "chat.chat_messages_v2": Life(
        f"id = '{TWO}'",
        {
            "id": TWO,
            "role": "assistant",
            "sender_user_id": None,
            "sender_agent_id": ONE,
            "metadata": '{"model": "gpt-4.1-mini", "tokens": {"prompt": 40, "completion": 5}}',
            "created_at": NEXT_DAY,
        },
        (
            "set metadata = jsonb_set(metadata, '{tokens, prompt}', '41')",
            "set metadata = jsonb_set(metadata, '{model}', '\"gpt-4.1\"')",
            f"set created_at = timestamptz '{EVENT}' + interval '1 hour'",
            "set created_at = created_at + interval '1 day'",
            "set created_at = created_at + interval '70 days'",
            "set role = 'user'",
            "insert into chat.conversation_sessions"
            " (id, conversation_id, user_id, agent_id, started_at)"
            f" values ('{TWO}', '{TWO}', '{ONE}', '{ONE}', '2020-03-05')",
            f"set session_id = '{TWO}', conversation_id = '{TWO}'",
            f"set session_id = '{ONE}', conversation_id = '{ONE}';"
            f" delete from chat.conversation_sessions where id = '{TWO}'",
        ),
    ),
    "agentic.agents": Life(
        f"agent_id = '{TWO}'",
        {"agent_id": TWO, "name": "Tester", "config": '{"model": "gpt-4.1"}'},
        (
            "insert into agentic.agent_sessions (agent_id, started_at)"
            f" values ('{TWO}', '2020-03-07')",
            'set version = version + 1, config = \'{"model": "gpt-4.1-mini"}\'',
            "set version = version + 1, name = 'Critic'",
            "set version = version + 1, persona_type = 'developer'",
            f"update agentic.agent_sessions set agent_id = '{TWO}', version = version + 1"
            f" where session_id = '{ONE}'",
            'set version = version + 1, config = \'{"model": "gpt-4.1", "version": "2"}\'',
            'set version = version + 1, config = \'{"model": "gpt-4.1-nano"}\'; update agentic.agent_sessions'
            f" set agent_id = '{ONE}', version = version + 1 where session_id = '{ONE}'",
            "set version = version + 1, config = '{}'",
        ),
    ),
    "agentic.agent_sessions": Life(
        f"session_id = '{TWO}'",
        {"session_id": TWO, "started_at": NEXT_DAY},
        (
            'set context = \'{"domain": "backend"}\', version = version + 1',
            "insert into agentic.agent_decisions (session_id, decision_type, input_context,"
            " action_taken, user_feedback, created_at, metadata)"
            f" values ('{TWO}', 'review', '{{}}', '{{}}', 'rejected', '2020-03-07', '{LOADED}}}');"
            " insert into agentic.conversation_history (session_id, role, content, created_at, tokens_used)"
            f" values ('{TWO}', 'agent', 'a', '2020-03-08', 7)",
            "insert into agentic.agent_audit_log"
            " (agent_id, session_id, action_type, action_details, risk_level, timestamp) values"
            f" ('{ONE}', '{TWO}', 'write', '{{\"status\": \"failed\", \"rollback_available\": false}}',"
            " 'critical', '2020-03-07')",
            "insert into agentic.trust_metrics (session_id, metric_type, metric_value, recorded_at)"
            f" values ('{TWO}', 'accuracy', 50, '2020-03-09')",
            "set started_at = started_at + interval '1 day', version = version + 1",
            "set session_state = 'completed', ended_at = '2020-04-01', version = version + 1",
            f"set user_id = '{ONE}', version = version + 1",
            f"set metadata = '{LOADED}}}', version = version + 1",
            "set metadata = null, version = version + 1",
            f"set metadata = '{LOADED}}}', version = version + 1",
        ),
    ),
    "agentic.trust_metrics": Life(
        f"metric_id = '{TWO}'",
        {"metric_id": TWO, "metric_value": 50},
        (
            "set metric_value = 60",
            "set metric_type = 'complexity', metric_value = 6",
            "set recorded_at = recorded_at + interval '1 day'",
        ),
    ),
    "agentic.agent_decisions": Life(
        f"decision_id = '{TWO}'",
        {
            "decision_id": TWO,
            "user_feedback": "rejected",
            "confidence_score": 0.7,
            "metadata": LOADED + "}",
            "created_at": NEXT_DAY,
        },
        (
            "set user_feedback = 'approved'",
            "set confidence_score = 0.25",
            "set user_feedback = null",
            "set user_feedback = 'modified'",
            "set metadata = '{}'",
            "set created_at = created_at + interval '1 day'",
            "set created_at = created_at + interval '70 days'",
            "insert into agentic.agent_sessions (session_id, agent_id, context, started_at)"
            f" values ('{TWO}', '{ONE}', '{{\"domain\": \"frontend\"}}', '2020-03-05')",
            f"set session_id = '{TWO}'",
            f"set session_id = '{ONE}', metadata = '{LOADED}}}';"
            f" delete from agentic.agent_sessions where session_id = '{TWO}'",
        ),
    ),
    "agentic.agent_audit_log": Life(
        "true",
        None,
        tuple(
            "insert into agentic.agent_audit_log"
            " (agent_id, session_id, action_type, action_details, risk_level, timestamp) values"
            f" ('{ONE}', '{ONE}', '{action}', '{details}', '{risk}', '{at}')"
            for action, details, risk, at in (
                ("review", '{"status": "done", "rollback_available": false}', "high", EVENT),
                ("review", '{"rollback_available": true}', "low", EVENT),
                ("write", '{"status": "failed"}', "critical", NEXT_DAY),
                ("write", '{"status": "failed"}', "critical", THE_DAY_BEFORE),
            )
        ),
    ),
    "agentic.conversation_history": Life(
        f"message_id = '{TWO}'",
        {
            "message_id": TWO,
            "role": "agent",
            "tokens_used": 9,
            "model_used": "gpt-4.1-mini",
            "created_at": NEXT_DAY,
        },
        (
            "set tokens_used = 10",
            f"set created_at = timestamptz '{EVENT}' + interval '1 hour'",
            "set model_used = 'gpt-4.1'",
            "set metadata = '{\"loader\": {}}'",
            "set metadata = '{}'",
            "set created_at = created_at + interval '1 day'",
            "set created_at = created_at + interval '70 days'",
            "insert into agentic.agent_sessions (session_id, agent_id, started_at)"
            f" values ('{TWO}', '{ONE}', '2020-03-05')",
            f"set session_id = '{TWO}'",
            f"set session_id = '{ONE}';"
            f" delete from agentic.agent_sessions where session_id = '{TWO}'",
        ),
    ),
    "ops.budgets": Life(
        "scope_kind = 'total'",
        {"scope_kind": "total", "scope_key": "total", "period": "month", "amount_usd": 0.5},
        (
            "set amount_usd = 0.000001",
            "set thresholds = '{0.1, 1.5}'",
            "set period = 'week'",
            "set valid_to = '2020-03-05'",
            "insert into seeds.budgets (scope_kind, scope_key, period, amount_usd)"
            " values ('total', 'total', 'week', 7)",
            "set scope_kind = 'model', scope_key = 'gpt-4.1-mini'; delete from seeds.budgets;"
            " insert into ops.budgets (scope_kind, scope_key, period, amount_usd)"
            " values ('total', 'total', 'month', 1)",
        ),
    ),
    "seeds.budgets": Life(
        "scope_key = 'total'",
        {"scope_kind": "total", "scope_key": "total", "period": "quarter", "amount_usd": 3},
        ("set amount_usd = 2", "set thresholds = '0.1 0.2'", "set valid_from = '2020-03-02'"),
    ),
    "seeds.agent_mapping": Life(
        "agent_name = 'walker'",
        {
            "source_system": "observability",
            "agent_name": "walker",
            "canonical_source_system": "agentic",
            "canonical_agent_name": "Reviewer",
        },
        ("set canonical_agent_name = 'runner'",),
    ),
    "seeds.model_aliases": Life(
        "match_on = 'model' and provider = 'openai' and pattern = 'gpt-4.1-mini'",
        None,
        ("set model = 'gpt-4.1'", "set model = 'gpt-4.1-mini'"),
    ),
    "seeds.model_prices": Life(
        "provider = 'openai' and model = 'gpt-4.1-mini' and component = 'input'",
        None,
        (
            "set usd_per_million = 0.5",
            "set usd_per_million = 0.4",
            # An edition that is known from the day between the calls on, and one that has a size more.
            "insert into seeds.model_prices select provider, model, component, valid_from, valid_to,"
            " time_from_utc, time_to_utc, tier_above_input_tokens, usd_per_million * 2, source,"
            " '2020-03-01 12:00+00', 'dearer' from seeds.model_prices"
            " where provider = 'openai' and model = 'gpt-4.1-mini'",
            "insert into seeds.model_prices select provider, model, component, valid_from, valid_to,"
            " time_from_utc, time_to_utc, 3, usd_per_million * 2, source, known_from, reason"
            " from seeds.model_prices where known_from is not null",
            "update seeds.model_prices set reason = 'cheaper' where known_from is not null",
            "delete from seeds.model_prices where known_from is not null",
            # A model of ours whose name another provider takes for one of his.
            "insert into seeds.own_prices (provider, model, component, usd_per_million)"
            " values ('house', 'house-1', 'input', 1);"
            f" update observability.spans set model = 'house-1' where span_id = '{ONE}'",
            "insert into seeds.model_prices (provider, model, component, tier_above_input_tokens,"
            " usd_per_million, source) values ('maker', 'house-1', 'input', 0, 1, '-')",
            "delete from seeds.model_prices where provider = 'maker';"
            " delete from seeds.own_prices;"
            f" update observability.spans set model = 'gpt-4.1-mini' where span_id = '{ONE}'",
        ),
    ),
    "seeds.own_prices": Life(
        "model = 'gpt-4.1-mini'",
        {"model": "gpt-4.1-mini", "provider": "openai", "component": "output", "discount": 0.5},
        (
            "set discount = 0.25",
            "set known_from = '2020-03-02 00:00+00', reason = 'contract'",
            "set time_from_utc = '10:00', time_to_utc = '24:00'",
            "set known_from = null, discount = null, usd_per_million = 7",
            "insert into seeds.own_prices (provider, model, component, usd_per_million)"
            " values ('house', 'house-1', 'request', 1);"
            f" update observability.spans set model = 'house-1' where span_id = '{ONE}'",
            "delete from seeds.own_prices where model = 'house-1';"
            f" update observability.spans set model = 'gpt-4.1-mini' where span_id = '{ONE}'",
        ),
    ),
    "seeds.trust_levels": Life(
        "level = 1",
        None,
        (
            "set min_decisions = 1, accept_rate = 0.9, reject_rate = 0.01, alpha = 0.4",
            "set up_to_risk = 'low'",
        ),
    ),
    "seeds.trust_policies": Life("policy = 'sequential'", None, ("set cooldown_days = 9",)),
    "seeds.workflow_values": Life(
        "workflow = 'unknown'",
        {
            "source_system": "observability",
            "workflow": "unknown",
            "unit": "run",
            "value_usd": "2",
        },
        ("set value_usd = 3", "set unit = 'conversation'"),
    ),
    "seeds.evaluation_thresholds": Life(
        "span_type = 'llm' and measure = 'duration_ms'",
        None,
        ("set warns_above = 1", "set warns_above = 5000"),
    ),
    "ops.forecasts": Life(
        "method = 'theta'",
        {
            "as_of_date": "2020-02-28",
            "scope_kind": "total",
            "scope_key": "total",
            "forecast_date": "2020-03-01",
            "method": "theta",
            "history_days": 9,
            "naive_error_usd": 1,
            "yhat_usd": 2,
            "low_80_usd": 1,
            "high_80_usd": 3,
            "low_95_usd": 0,
            "high_95_usd": 4,
            "total_yhat_usd": 2,
        },
        ("set yhat_usd = 2.5", "set forecast_date = '2020-03-02'", "set as_of_date = '2020-02-29'"),
    ),
    "ops.pruned_patterns": Life(
        f"pattern_id = '{UNUSED}'",
        {
            "pattern_id": UNUSED,
            "tenant_id": "default",
            "pattern": "a → b",
            "domain": "backend",
            "is_learned": False,
            "uses": 3,
            "judged_uses": 2,
            "successes": 1,
            "reason": "deleted",
        },
        ("set uses = 4", "set successes = 2, domain = null"),
    ),
    "ops.as_of": Life(
        "true",
        None,
        (
            "insert into seeds.own_prices (provider, model, component, valid_from, usd_per_million)"
            " values ('openai', 'gpt-4.1-mini', 'input', '2090-01-01', 7)",
            "set as_of_date = '2090-01-01'",
            "delete from seeds.own_prices",
        ),
    ),
    "ops.pseudonym_salt": Life(
        "true", None, ("set salt = 'pepper and salt, thirty-two characters'",)
    ),
}

# An input of all that reads int_runs__unioned or int_executions__routed, of which these read nothing
# that the relation gives.
WITHOUT_EFFECT = {
    ("intermediate.int_models__recorded", "chat.agents"),
    ("intermediate.int_models__recorded", "traceability.agent_routing_decisions"),
    ("intermediate.int_models__recorded", "traceability.execution_traces"),
    ("intermediate.int_models__recorded", "seeds.agent_mapping"),
    ("intermediate.int_runs__daily_activity", "traceability.agent_routing_decisions"),
    ("intermediate.int_errors__unioned", "traceability.agent_routing_decisions"),
    ("intermediate.int_runs__daily_autonomy", "traceability.agent_routing_decisions"),
    ("marts.span_costs", "agentic.conversation_history"),
    ("marts.span_costs", "chat.chat_messages_v2"),
}


@pytest.fixture(scope="module")
def refresher(
    empty_marts: Callable[[], Refresher], tmp_path_factory: pytest.TempPathFactory
) -> Refresher:
    """A database that is built, with the base rows among simulated runs."""
    built = empty_marts()
    runs = tmp_path_factory.mktemp("runs") / "simulated.ndjson"
    simulate.write(runs, days=2, runs_per_day=5, seed=7, last_day=date(2020, 3, 2))
    with psycopg.connect(built.url, autocommit=True) as connection:
        loader.load_agent_runs(connection, [runs])
        for table, columns in SETTING.items():
            insert(connection, table, ROWS[table] | columns)
        built.refresh(connection)
    return built


@pytest.fixture(scope="module")
def inputs(refresher: Refresher) -> dict[str, set[str]]:
    """What each refreshed table reads, past views: raw tables, seeds, tables of ops and each other."""
    manifest = json.loads((TARGET / "manifest.json").read_text())
    nodes: dict[str, dict[str, Any]] = manifest["nodes"] | manifest["sources"]
    names = {
        unique_id: f"{node['source_name']}.{node['name']}"
        if "source_name" in node
        else f"{node['schema']}.{node['alias']}"
        for unique_id, node in nodes.items()
    }

    def read_by(unique_id: str) -> set[str]:
        found = set()
        for parent in nodes[unique_id]["depends_on"]["nodes"]:
            is_view = nodes[parent]["config"].get("materialized") == "view"
            found |= read_by(parent) if is_view else {names[parent]}
        return found

    return {
        names[unique_id]: read_by(unique_id)
        for unique_id in nodes
        if names[unique_id] in refresher.statements
    }


def test_every_input_has_a_life(inputs: dict[str, set[str]]) -> None:
    """Catches a model that reads a new relation whose changes nobody has tried."""
    assert inputs
    untried = set().union(*inputs.values()) - inputs.keys() - LIVES.keys()
    assert not untried, f"add to LIVES what can happen to a row of {', '.join(sorted(untried))}"


@pytest.mark.parametrize("relation", LIVES)
def test_a_refresh_after_each_change_of_a_row_equals_a_rebuild(
    relation: str,
    refresher: Refresher,
    inputs: dict[str, set[str]],
    connect: Callable[[str], psycopg.Connection],
) -> None:
    """Catches a model that is not told of a change of something it is computed from."""
    connection = connect(refresher.url)
    computed_from: list[str] = []
    for name in refresher.statements:
        if inputs[name] & {relation, *computed_from}:
            computed_from.append(name)

    noticed: set[str] = set()
    faults = []
    before = refresher.rows(connection, computed_from)
    for change in LIVES[relation].transactions(relation):
        with connection.transaction():
            if isinstance(change, str):
                cursor = connection.execute(change.encode())
                assert cursor.rowcount > 0, f"no row was changed: {change}"
            else:
                insert(connection, relation, ROWS.get(relation, {}) | change)
        refresher.refresh(connection)
        # What is wrong further down follows from the first.
        faults += [
            f"after {change}: {line}" for line in refresher.errors(connection, computed_from)
        ][:1]
        refreshed = refresher.rows(connection, computed_from)
        noticed |= {name for name in computed_from if refreshed[name] != before[name]}
        before = refreshed
    assert not faults, "say in dirtied_by what such a change makes dirty:\n" + "\n".join(faults)

    readers = {name for name in inputs if relation in inputs[name]}
    assert readers - noticed == {name for name in readers if (name, relation) in WITHOUT_EFFECT}, (
        f"add to the life of {relation} a change that each of these has to notice"
    )
