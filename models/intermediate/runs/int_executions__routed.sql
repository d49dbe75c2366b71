-- One row per execution of the router's system, with its run and the agent that took it.
select
    executions.trace_id,
    executions.correlation_id,
    executions.parent_id,
    roots.trace_id::text as run_id,
    last_routing_decisions.agent_name,
    executions.started_at,
    executions.tenant_key,
    executions.status,
    executions.is_success,
    coalesce(
        executions.duration_recorded_ms,
        extract(epoch from executions.ended_at - executions.started_at) * 1000
    ) as duration_ms,
    extract(
        epoch from
        last_routing_decisions.execution_ended_at - last_routing_decisions.execution_started_at
    ) * 1000 as agent_ms
from {{ ref("stg_traceability__execution_traces") }} as executions
left join {{ ref("stg_traceability__execution_traces") }} as roots
    on executions.root_id = roots.correlation_id
left join lateral (
    select
        routing_decisions.agent_name,
        routing_decisions.execution_started_at,
        routing_decisions.execution_ended_at
    from {{ ref("stg_traceability__agent_routing_decisions") }} as routing_decisions
    where routing_decisions.trace_id = executions.trace_id
    order by routing_decisions.routed_at desc, routing_decisions.routing_decision_id asc
    limit 1
) as last_routing_decisions on true
