-- One row per decision that an agent took in a session.
select
    decision_id,
    session_id,
    tenant_id as tenant_key,
    {{ loaded_run_id() }} as loaded_run_id,
    decision_type,
    confidence_score,
    user_feedback as feedback,
    case user_feedback when 'approved' then 1 when 'modified' then 0 when 'rejected' then 0 end
        as outcome,
    created_at as decided_at,
    execution_time_ms
from {{ source("agentic", "agent_decisions") }}
