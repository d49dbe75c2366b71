"""The rules that no key can hold, each broken once, against the data test that stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from conftest import ROOT

from orchestration import database

if TYPE_CHECKING:
    from conftest import TestServer

# Sound rows, one or two of each kind. Ids are made from words, so that faults can name them.
SOUND_ROWS = """
create function public.id(word text) returns uuid language sql return md5(word)::uuid;

insert into agentic.users (user_id, email) values (id('user'), 'ada@example.org');
insert into agentic.agents (agent_id, name, persona_type, capabilities)
values (id('agent'), 'pair', 'developer', '{}');
insert into agentic.agent_sessions (session_id, agent_id, user_id)
values (id('session 1'), id('agent'), id('user')), (id('session 2'), id('agent'), null);
insert into agentic.conversation_history (session_id, message_id, role, content, parent_message_id)
values (id('session 1'), id('message 1'), 'user', 'hello', null),
    (id('session 1'), id('message 2'), 'agent', 'hello', id('message 1'));
insert into agentic.agent_audit_log (agent_id, session_id, user_id, action_type, action_details)
values (id('agent'), id('session 1'), id('user'), 'write', '{}'), (id('agent'), null, null, 'wake', '{}');

insert into observability.profiles (id, email) values (id('owner'), 'owner@example.org');
insert into observability.workflows (id, user_id, name, nodes, edges)
values (id('workflow'), id('owner'), 'triage', '[]', '[]');
insert into observability.traces
    (trace_id, workflow_id, execution_id, status, total_cost, started_at, completed_at)
values (id('trace 1'), id('workflow')::text, 'one', 'completed', 0.3, '2026-06-01', '2026-06-02'),
    (id('trace 2'), 'unknown', 'two', 'running', null, '2026-06-01', null);
insert into observability.spans (trace_id, span_id, parent_span_id, span_type, name, status, cost)
values (id('trace 1'), id('span 1'), null, 'llm', 'ask', 'completed', 0.1),
    (id('trace 1'), id('span 2'), id('span 1'), 'llm', 'ask', 'completed', 0.2);
insert into observability.cost_records (execution_id, workflow_id, node_id, node_type, category, created_at)
values ('one', id('workflow'), 'node', 'llm', 'llm', '2026-06-01');
insert into observability.usage_logs (execution_id, cost, duration_ms, status, created_at)
values ('one', 0, 0, 'completed', '2026-06-01'), (null, 0, 0, 'refused', '2026-06-01');

insert into raaf.raaf_tracing_traces (trace_id) values ('trace_1'), ('trace_2');
insert into raaf.raaf_tracing_spans (trace_id, span_id, parent_id, name)
values ('trace_1', 'span_1', null, 'job'), ('trace_1', 'span_2', 'span_1', 'ask');
insert into raaf.raaf_tracing_span_replays (original_span_id, replayed_span_id)
values ('span_1', 'span_2'), ('span_1', null);

insert into traceability.execution_traces (id, correlation_id, root_id, parent_id, session_id, source)
values (id('root'), id('root'), id('root'), null, id('session'), 'user_prompt'),
    (id('child'), id('child'), id('root'), id('root'), id('session'), 'agent_delegation');
insert into traceability.hook_executions (trace_id, id, hook_type, hook_name, execution_order)
values (id('root'), id('hook'), 'PreToolUse', 'check', 1), (id('child'), id('other hook'), 'Stop', 'log', 1);
insert into traceability.endpoint_calls
    (trace_id, hook_execution_id, service, endpoint_url, method, success)
values (id('root'), id('hook'), 'RAG', '/search', 'GET', true);
insert into traceability.success_patterns (id, pattern_hash, keywords, agent_sequence)
values (id('pattern 1'), 'a', '{}', '{coder}'), (id('pattern 2'), 'b', '{}', '{coder}');
insert into traceability.pattern_usage_log (pattern_id, trace_id)
values (id('pattern 1'), id('root')), (id('pattern 1'), null), (id('pattern 1'), null);

insert into chat.users (id) values (id('user'));
insert into chat.agents (id, user_id, name, description) values (id('agent'), id('user'), 'Muse', 'a poet');
insert into chat.conversation_sessions (id, conversation_id, agent_id)
values (id('session 1'), id('talk'), id('agent')), (id('session 2'), id('talk'), id('agent'));
insert into chat.agent_memories (id, agent_id, memory_type, content, related_memories)
select id(word), id('agent'), 'semantic', '{"concept": "c", "definition": "d"}', related
from (values ('memory 1', null), ('memory 2', array[id('memory 1')])) as memories (word, related);
insert into chat.memory_consolidations (agent_id, source_memories, consolidation_type)
values (id('agent'), array[id('memory 1'), id('memory 2')], 'merge');
insert into chat.chat_messages_v2
    (id, session_id, conversation_id, parent_message_id, role, content, memory_refs)
values (id('message 1'), id('session 1'), id('talk'), null, 'system', '{"type": "text", "text": "la"}',
        array[id('memory 1'), id('memory 1')]),
    (id('message 2'), id('session 1'), id('talk'), id('message 1'), 'system',
        '{"type": "text", "text": "la"}', null),
    (id('message 3'), id('session 2'), id('talk'), null, 'system', '{"type": "text", "text": "la"}', null);
update chat.chat_messages_v2 set content = '{"type": "text", "text": "lu"}' where id = id('message 2');
insert into chat.agent_states (agent_id, version, state_hash, valid_from, valid_until, is_current)
values (id('agent'), '1.0.0', 'a', '2026-06-01', '2026-06-02', false),
    (id('agent'), '1.0.1', 'b', '2026-06-02', null, true);
"""

# Each test by name, with one statement that breaks its rule once and no other.
ERRORS = {
    "decisions_have_the_tenant_of_their_session": """
        insert into agentic.agent_decisions
            (session_id, decision_type, input_context, action_taken, tenant_id)
        values (id('session 1'), 'review', '{}', '{}', 'other')""",
    "messages_have_the_tenant_of_their_session": """
        insert into agentic.conversation_history (session_id, role, content, tenant_id)
        values (id('session 1'), 'user', 'hello', 'other')""",
    "messages_answer_messages_of_their_session": """
        insert into agentic.conversation_history (session_id, role, content, parent_message_id)
        values (id('session 2'), 'user', 'hello', id('message 1'))""",
    "trust_metrics_have_the_tenant_of_their_session": """
        insert into agentic.trust_metrics (session_id, metric_type, metric_value, tenant_id)
        values (id('session 1'), 'accuracy', 90, 'other')""",
    "unique_stg_agentic__agent_decisions_decision_id": """
        insert into agentic.agent_decisions
            (session_id, decision_id, decision_type, input_context, action_taken)
        values (id('session 1'), id('twice'), 'review', '{}', '{}'),
            (id('session 2'), id('twice'), 'review', '{}', '{}')""",
    "unique_stg_agentic__conversation_history_message_id": """
        insert into agentic.conversation_history (session_id, message_id, role, content)
        values (id('session 2'), id('message 2'), 'user', 'hello')""",
    "unique_stg_agentic__trust_metrics_metric_id": """
        insert into agentic.trust_metrics (session_id, metric_id, metric_type, metric_value)
        values (id('session 1'), id('twice'), 'accuracy', 9),
            (id('session 2'), id('twice'), 'accuracy', 9)""",
    "unique_stg_agentic__agent_audit_log_audit_id": """
        insert into agentic.agent_audit_log (agent_id, session_id, audit_id, action_type, action_details)
        values (id('agent'), id('session 1'), id('twice'), 'write', '{}'),
            (id('agent'), id('session 2'), id('twice'), 'write', '{}')""",
    "spans_have_the_tenant_of_their_trace": """
        insert into observability.spans (trace_id, span_type, name, status, tenant_id)
        values (id('trace 1'), 'llm', 'ask', 'completed', 'other')""",
    "spans_have_parents_in_their_trace": """
        insert into observability.spans (trace_id, parent_span_id, span_type, name, status)
        values (id('trace 2'), id('span 1'), 'llm', 'ask', 'completed')""",
    "unique_stg_observability__spans_span_id": """
        insert into observability.spans (trace_id, span_id, span_type, name, status)
        values (id('trace 2'), id('span 2'), 'llm', 'ask', 'completed')""",
    "raaf_spans_have_the_tenant_of_their_trace": """
        insert into raaf.raaf_tracing_spans (trace_id, span_id, name, tenant_id)
        values ('trace_1', 'span_of_another_tenant', 'ask', 'other')""",
    "unique_stg_raaf__spans_span_id": """
        insert into raaf.raaf_tracing_spans (trace_id, span_id, name)
        values ('trace_1', 'span_twice', 'ask'), ('trace_2', 'span_twice', 'ask')""",
    "routing_decisions_have_the_tenant_of_their_execution": """
        insert into traceability.agent_routing_decisions
            (trace_id, agent_selected, confidence_score, routing_strategy, tenant_id)
        values (id('root'), 'coder', 1, 'explicit', 'other')""",
    "hook_executions_have_the_tenant_of_their_execution": """
        insert into traceability.hook_executions
            (trace_id, hook_type, hook_name, execution_order, tenant_id)
        values (id('root'), 'Stop', 'log', 2, 'other')""",
    "endpoint_calls_have_the_tenant_of_their_execution": """
        insert into traceability.endpoint_calls
            (trace_id, service, endpoint_url, method, success, tenant_id)
        values (id('root'), 'RAG', '/search', 'GET', true, 'other')""",
    "endpoint_calls_name_hooks_of_their_execution": """
        insert into traceability.endpoint_calls
            (trace_id, hook_execution_id, service, endpoint_url, method, success)
        values (id('child'), id('hook'), 'RAG', '/search', 'GET', true)""",
    "hooks_have_a_place_of_their_own": """
        insert into traceability.hook_executions (trace_id, hook_type, hook_name, execution_order)
        values (id('root'), 'Stop', 'log', 1)""",
    "an_execution_uses_a_pattern_once": """
        insert into traceability.pattern_usage_log (pattern_id, trace_id)
        values (id('pattern 1'), id('root'))""",
    "unique_stg_traceability__agent_routing_decisions_routing_decision_id": """
        insert into traceability.agent_routing_decisions
            (trace_id, id, agent_selected, confidence_score, routing_strategy)
        values (id('root'), id('twice'), 'coder', 1, 'explicit'),
            (id('child'), id('twice'), 'coder', 1, 'explicit')""",
    "unique_stg_traceability__hook_executions_hook_execution_id": """
        insert into traceability.hook_executions (trace_id, id, hook_type, hook_name, execution_order)
        values (id('root'), id('twice'), 'Stop', 'log', 3), (id('child'), id('twice'), 'Stop', 'log', 3)""",
    "unique_stg_traceability__endpoint_calls_endpoint_call_id": """
        insert into traceability.endpoint_calls (trace_id, id, service, endpoint_url, method, success)
        values (id('root'), id('twice'), 'RAG', '/search', 'GET', true),
            (id('child'), id('twice'), 'RAG', '/search', 'GET', true)""",
    "unique_stg_traceability__pattern_usage_log_pattern_use_id": """
        insert into traceability.pattern_usage_log (pattern_id, id)
        values (id('pattern 1'), id('twice')), (id('pattern 2'), id('twice'))""",
    "chat_messages_have_tenant_and_conversation_of_their_session": """
        insert into chat.chat_messages_v2 (session_id, conversation_id, role, content)
        values (id('session 1'), id('other talk'), 'system', '{"type": "text", "text": "la"}')""",
    "chat_messages_answer_messages_of_their_session": """
        insert into chat.chat_messages_v2
            (session_id, conversation_id, parent_message_id, role, content)
        values (id('session 2'), id('talk'), id('message 1'), 'system', '{"type": "text", "text": "la"}')""",
    "unique_stg_chat__messages_message_id": """
        insert into chat.chat_messages_v2 (id, session_id, conversation_id, role, content)
        values (id('twice'), id('session 1'), id('talk'), 'system', '{"type": "text", "text": "la"}'),
            (id('twice'), id('session 2'), id('talk'), 'system', '{"type": "text", "text": "la"}')""",
    "versions_are_of_messages_of_their_session": """
        insert into chat.message_versions (session_id, message_id, version_number, content)
        values (id('session 2'), id('message 1'), 1, '{"type": "text", "text": "la"}')""",
    "unique_stg_chat__message_versions_message_version_id": """
        insert into chat.message_versions (id, session_id, message_id, version_number, content)
        select id('twice'), session_id, message_id, 1, '{"type": "text", "text": "la"}'
        from (values (id('session 1'), id('message 1')), (id('session 2'), id('message 3')))
            as versions (session_id, message_id)""",
    "assert_agent_states_do_not_overlap": """
        insert into chat.agent_states (agent_id, version, state_hash, valid_from, valid_until, is_current)
        values (id('agent'), '1.0.2', 'c', '2026-06-01', '2026-06-01 12:00', false)""",
}
WARNINGS = {
    "audit_rows_name_sessions_of_their_tenant": """
        insert into agentic.agent_audit_log (agent_id, session_id, action_type, action_details)
        values (id('agent'), id('lost'), 'write', '{}')""",
    "audit_rows_name_users_of_their_tenant": """
        insert into agentic.agent_audit_log (agent_id, user_id, action_type, action_details)
        values (id('agent'), id('lost'), 'write', '{}')""",
    "traces_name_workflows_of_their_tenant": """
        insert into observability.traces (workflow_id, execution_id, status)
        values (id('lost')::text, 'three', 'running')""",
    "cost_records_name_executions_of_their_tenant": """
        insert into observability.cost_records
            (execution_id, node_id, node_type, category, created_at)
        values ('lost', 'node', 'llm', 'llm', '2026-06-01')""",
    "usage_logs_name_executions_of_their_tenant": """
        insert into observability.usage_logs (execution_id, cost, duration_ms, status, created_at)
        values ('lost', 0, 0, 'completed', '2026-06-01')""",
    "raaf_spans_have_parents_in_their_trace": """
        insert into raaf.raaf_tracing_spans (trace_id, span_id, parent_id, name)
        values ('trace_2', 'span_of_another_trace', 'span_1', 'ask')""",
    "replays_name_originals_of_their_tenant": """
        insert into raaf.raaf_tracing_span_replays (original_span_id) values ('span_lost')""",
    "replays_name_new_spans_of_their_tenant": """
        insert into raaf.raaf_tracing_span_replays (original_span_id, replayed_span_id)
        values ('span_1', 'span_lost')""",
    "executions_have_a_root_of_their_tenant": """
        insert into traceability.execution_traces (correlation_id, root_id, session_id, source)
        values (id('no root'), id('lost'), id('session'), 'api')""",
    "executions_have_a_parent_in_their_tree": """
        insert into traceability.execution_traces
            (correlation_id, root_id, parent_id, session_id, source)
        values (id('under a hook'), id('root'), id('hook'), id('session'), 'hook_trigger')""",
    "pattern_uses_name_executions_of_their_tenant": """
        insert into traceability.pattern_usage_log (pattern_id, trace_id)
        values (id('pattern 1'), id('lost'))""",
    "messages_use_memories_of_their_tenant": """
        insert into chat.chat_messages_v2 (session_id, conversation_id, role, content, memory_refs)
        values (id('session 1'), id('talk'), 'system', '{"type": "text", "text": "la"}',
            array[id('lost')])""",
    "memories_are_related_to_memories_of_their_tenant": """
        insert into chat.agent_memories (agent_id, memory_type, content, related_memories)
        values (id('agent'), 'semantic', '{"concept": "c", "definition": "d"}', array[id('lost')])""",
    "memories_are_made_from_memories_of_their_tenant": """
        insert into chat.memory_consolidations (agent_id, source_memories, consolidation_type)
        values (id('agent'), array[id('lost')], 'merge')""",
    "assert_trace_totals_agree_with_spans": """
        insert into observability.spans (trace_id, span_type, name, status, cost)
        values (id('trace 1'), 'llm', 'ask', 'completed', 0.1)""",
    "assert_durations_agree_with_times": """
        insert into raaf.raaf_tracing_spans (trace_id, span_id, name, start_time, end_time, duration_ms)
        values ('trace_1', 'span_slow', 'ask', '2026-06-01 12:00:00', '2026-06-01 12:00:01', 2000)""",
    "assert_final_executions_have_an_end": """
        insert into traceability.execution_traces
            (id, correlation_id, root_id, session_id, source, status)
        values (id('endless'), id('endless'), id('endless'), id('session'), 'api', 'completed')""",
}


@pytest.fixture(scope="module")
def failures(server18: TestServer) -> dict[str, tuple[str, int]]:
    """Each data test that one build with all faults failed, with its outcome and failing rows."""
    from dbt.cli.main import dbtRunner

    url = server18.database()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (SOUND_ROWS, *ERRORS.values(), *WARNINGS.values()):
            connection.execute(statement.encode())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AGENTBOOKS_DATABASE_URL", url)
        environment.setenv("PGPASSWORD", "")
        for name, value in database.dbt_environment().items():
            environment.setenv(name, value)
        outcome = dbtRunner().invoke(
            [
                *(
                    "--quiet",
                    "build",
                    "--select",
                    "staging",
                    "--indirect-selection",
                    "buildable",
                    "--log-path",
                    str(ROOT / "logs"),
                ),
                *("--project-dir", str(ROOT), "--profiles-dir", str(ROOT)),
            ]
        )
    results = getattr(outcome.result, "results", None)
    assert results, outcome.exception
    return {
        result.node.name: (str(result.status), result.failures)
        for result in results
        if str(result.status) not in ("success", "pass")
    }


@pytest.mark.parametrize("name", ERRORS)
def test_a_broken_rule_stops_the_build(failures: dict[str, tuple[str, int]], name: str) -> None:
    """Catches a data test that looks past what it is there to find."""
    assert failures.get(name) == ("fail", 1), f"{name} does not find:{ERRORS[name]}"


@pytest.mark.parametrize("name", WARNINGS)
def test_what_a_source_may_do_only_warns(failures: dict[str, tuple[str, int]], name: str) -> None:
    """Catches a build that a lawful row stops, or one that hides it."""
    assert failures.get(name) == ("warn", 1), f"{name} does not find:{WARNINGS[name]}"


def test_sound_rows_break_no_rule(failures: dict[str, tuple[str, int]]) -> None:
    """Catches a data test that fails without cause, which people would soon learn to skip."""
    assert failures.keys() == ERRORS.keys() | WARNINGS.keys()
