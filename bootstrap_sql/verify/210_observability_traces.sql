-- Raises where a column, a partition, a policy or a right is missing.

select
    trace_id, workflow_id, execution_id, user_id, query, started_at, completed_at,
    total_duration_ms, status, error, total_cost, total_tokens, metadata, tenant_id, change_id
from observability.traces
where false;

select
    trace_id, span_id, parent_span_id, user_id, span_type, name, status, started_at, completed_at,
    duration_ms, inputs, outputs, tokens, cost, model, provider, error, error_type, error_stack,
    api_limits, retry_count, timeout_ms, evaluation, metadata, timeout, child_spans, tenant_id,
    change_id
from observability.spans
where false;

select
    'observability.spans_default'::regclass,
    'observability.is_token_counts(jsonb)'::regprocedure,
    1 / has_table_privilege('agentbooks_loader', 'observability.spans', 'insert')::int,
    1 / (not has_table_privilege(
        'agentbooks_loader', 'observability.spans_default', 'insert'
    ))::int;

select 1 / (count(*) = 2)::int as both_policies
from pg_policies
where schemaname = 'observability' and policyname in ('traces_own', 'spans_own');
