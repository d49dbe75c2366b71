-- Raises where a view or a column is missing, or where a view would pass the policies by.

select
    id, correlation_id, session_id, prompt_text, started_at, completed_at, duration_ms, status,
    success, agent_selected, routing_confidence, hook_count, endpoint_count, error_type
from traceability.trace_summary
where false;

select
    agent_name, total_executions, successful_executions, failed_executions, success_rate_pct,
    avg_duration_ms, p95_duration_ms, avg_routing_confidence, patterns_used, last_used_at
from traceability.agent_performance
where false;

select
    id, pattern_hash, intent_classification, keywords, agent_sequence, success_count, failure_count,
    total_usage_count, success_rate, avg_duration_ms, confidence_score, last_used_at, usage_30d,
    avg_match_score, recent_trend
from traceability.pattern_effectiveness
where false;

select
    error_type, error_category, severity, error_count, last_occurrence_at, affected_agents,
    resolution_pattern, resolution_success_rate, prevention_strategies, occurrences_24h,
    occurrences_7d
from traceability.error_analysis
where false;

select
    total_traces, completed_traces, successful_traces, overall_success_rate, total_patterns,
    high_quality_patterns, avg_pattern_success_rate, active_agents, most_used_agent, errors_24h,
    unique_error_types, median_duration_ms, p95_duration_ms
from traceability.dashboard_summary
where false;

select 1 / (count(*) = 5)::int as all_invoker
from pg_class
where
    relnamespace = 'traceability'::regnamespace
    and relkind = 'v'
    and reloptions @> array['security_invoker=true'];
