-- Raises where a column, a partition, a policy or a right is missing.

select
    id, correlation_id, root_id, parent_id, session_id, user_id, source, prompt_text, started_at,
    completed_at, duration_ms, status, success, error_message, error_type, context, tags, created_at,
    updated_at, tenant_id, change_id
from traceability.execution_traces
where false;

select
    trace_id, id, agent_selected, confidence_score, confidence_trigger, confidence_context,
    confidence_capability, confidence_historical, routing_strategy, pattern_id, cache_hit,
    selection_reason, query_text, alternatives, decision_duration_ms, execution_started_at,
    execution_completed_at, created_at, updated_at, tenant_id, change_id
from traceability.agent_routing_decisions
where false;

select
    trace_id, id, hook_type, hook_name, execution_order, tool_name, file_path, started_at,
    completed_at, duration_ms, status, input_data, output_data, modifications_made,
    rag_query_performed, rag_results, quality_check_performed, quality_results, error_message,
    error_type, error_stack, metadata, created_at, updated_at, tenant_id, change_id
from traceability.hook_executions
where false;

select
    trace_id, id, hook_execution_id, service, endpoint_url, method, request_body, response_body,
    headers, context, status_code, started_at, completed_at, duration_ms, success, error_message,
    error_type, retry_count, rag_query, quality_score, created_at, updated_at, tenant_id, change_id
from traceability.endpoint_calls
where false;

select
    'traceability.hook_executions_default'::regclass,
    'traceability.endpoint_calls_default'::regclass,
    1 / has_table_privilege('agentbooks_loader', 'traceability.execution_traces', 'insert')::int,
    1 / (not has_table_privilege(
        'agentbooks_loader', 'traceability.hook_executions_default', 'insert'
    ))::int;

select 1 / (count(*) = 5)::int as all_policies
from pg_policies
where
    schemaname = 'traceability'
    and policyname in (
        'execution_traces_service', 'execution_traces_read', 'agent_routing_decisions_service',
        'hook_executions_service', 'endpoint_calls_service'
    );
