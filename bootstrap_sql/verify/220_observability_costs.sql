-- Raises where a column, a policy or a right is missing.

select
    id, execution_id, workflow_id, user_id, node_id, node_type, cost, tokens_used, duration_ms,
    provider, model, category, config, metadata, created_at, tenant_id, change_id
from observability.cost_records
where false;

select
    id, workflow_id, user_id, period_type, period_start, period_end, total_cost, total_executions,
    total_tokens, cost_by_category, cost_by_provider, cost_by_model, metadata, created_at,
    updated_at, tenant_id, change_id
from observability.cost_aggregations
where false;

select
    id, api_key_id, user_id, workflow_id, execution_id, cost, duration_ms, status, created_at,
    tenant_id, change_id
from observability.usage_logs
where false;

select 1 / (count(*) = 3)::int as all_policies
from pg_policies
where
    schemaname = 'observability'
    and policyname in ('cost_records_own', 'cost_aggregations_own', 'usage_logs_own');

select 1 / has_table_privilege('agentbooks_refresher', 'observability.cost_records', 'select')::int;
