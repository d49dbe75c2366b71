-- Raises where a column, a partition, a policy or a right is missing.

select
    id, pattern_hash, source_trace_id, prompt_text, intent_classification, keywords, domain,
    agent_sequence, tool_sequence, routing_strategy, hook_sequence, endpoint_pattern, success_count,
    failure_count, total_usage_count, success_rate, confidence_score, avg_duration_ms,
    min_duration_ms, max_duration_ms, avg_hook_count, avg_endpoint_count, avg_rag_query_count,
    initial_success_score, context, tags, is_active, last_used_at, created_at, updated_at, tenant_id,
    change_id
from traceability.success_patterns
where false;

select
    pattern_id, id, trace_id, used_at, match_score, was_applied, outcome, success, deviations,
    expected_duration_ms, actual_duration_ms, performance_variance, user_feedback, metadata,
    created_at, updated_at, tenant_id, change_id
from traceability.pattern_usage_log
where false;

select
    id, chain_pattern, delegation_depth, occurrence_count, avg_success_rate, avg_total_duration_ms,
    avg_coordination_overhead_ms, common_triggers, example_trace_ids, tags, last_used_at, created_at,
    updated_at, tenant_id, change_id
from traceability.agent_chaining_patterns
where false;

select
    id, error_type, error_category, error_message_pattern, severity, error_count,
    first_occurrence_at, last_occurrence_at, affected_agents, hook_type, endpoint_url,
    example_trace_ids, resolution_pattern, resolution_success_rate, prevention_strategies, tags,
    created_at, updated_at, tenant_id, change_id
from traceability.error_patterns
where false;

select
    'traceability.pattern_usage_log_default'::regclass,
    1 / has_table_privilege('agentbooks_loader', 'traceability.pattern_usage_log', 'insert')::int,
    1 / (not has_table_privilege(
        'agentbooks_loader', 'traceability.pattern_usage_log_default', 'insert'
    ))::int;

select 1 / (count(*) = 7)::int as all_policies
from pg_policies
where
    schemaname = 'traceability'
    and policyname in (
        'success_patterns_service', 'success_patterns_read', 'pattern_usage_log_service',
        'agent_chaining_patterns_service', 'agent_chaining_patterns_read', 'error_patterns_service',
        'error_patterns_read'
    );
