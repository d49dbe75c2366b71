-- One row per decision of the router, with what came of the execution if its agent took it.
select
    decisions.routing_decision_id,
    decisions.tenant_key,
    decisions.agent_name,
    decisions.routing_strategy,
    coalesce(decisions.is_cache_hit, false) as is_cache_hit,
    decisions.confidence_score,
    decisions.confidence_trigger,
    decisions.confidence_context,
    decisions.confidence_capability,
    decisions.confidence_historical,
    decisions.decision_duration_ms,
    decisions.routed_at,
    last_decisions.routing_decision_id <> decisions.routing_decision_id as is_overruled,
    case
        when last_decisions.routing_decision_id = decisions.routing_decision_id
            then executions.is_success
    end as is_success
from {{ ref("stg_traceability__agent_routing_decisions") }} as decisions
left join {{ ref("stg_traceability__execution_traces") }} as executions
    on decisions.trace_id = executions.trace_id
left join lateral (
    select later.routing_decision_id
    from {{ ref("stg_traceability__agent_routing_decisions") }} as later
    where later.trace_id = decisions.trace_id
    order by later.routed_at desc, later.routing_decision_id asc
    limit 1
) as last_decisions on true
