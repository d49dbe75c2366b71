-- Raises where a table, a column, a partition or a right is missing.

select
    decision_id, session_id, decision_type, input_context, decision_rationale, action_taken,
    confidence_score, user_feedback, created_at, execution_time_ms, metadata, tenant_id, change_id
from agentic.agent_decisions
where false;

select
    metric_id, session_id, metric_type, metric_value, measurement_context, recorded_at, tenant_id,
    change_id
from agentic.trust_metrics
where false;

select
    'agentic.agent_decisions_default'::regclass,
    1 / has_table_privilege('agentbooks_loader', 'agentic.agent_decisions', 'insert')::int,
    1 / (not has_table_privilege('agentbooks_loader', 'agentic.agent_decisions_default', 'insert'))::int;
