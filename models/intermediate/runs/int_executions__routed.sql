-- One row per execution of the router's system, with its run and the agent that took it.
select
    executions.trace_id,
    executions.correlation_id,
    executions.parent_id,
    roots.trace_id::text as run_id,
    last_routing_decisions.agent_name,
    executions.started_at
from {{ ref("stg_traceability__execution_traces") }} as executions
left join {{ ref("stg_traceability__execution_traces") }} as roots
    on executions.root_id = roots.correlation_id
left join lateral (
    select routing_decisions.agent_name
    from {{ ref("stg_traceability__agent_routing_decisions") }} as routing_decisions
    where routing_decisions.trace_id = executions.trace_id
    order by routing_decisions.routed_at desc, routing_decisions.routing_decision_id asc
    limit 1
) as last_routing_decisions on true
