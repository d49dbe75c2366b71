-- One row per decision of the router: which agent takes an execution.
select
    id as routing_decision_id,
    trace_id,
    tenant_id as tenant_key,
    lower(btrim(agent_selected)) as agent_name,
    confidence_score,
    confidence_trigger,
    confidence_context,
    confidence_capability,
    confidence_historical,
    routing_strategy,
    pattern_id,
    cache_hit as is_cache_hit,
    decision_duration_ms,
    execution_started_at,
    execution_completed_at as execution_ended_at,
    created_at as routed_at
from {{ source("traceability", "agent_routing_decisions") }}
