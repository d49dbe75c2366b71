-- One row per execution of the router's system, with its run and the agent that took it.
with executions as (
    select * from {{ ref("stg_traceability__execution_traces") }}
),

routing_decisions as (
    select * from {{ ref("stg_traceability__agent_routing_decisions") }}
),

last_routing_decisions as (
    select distinct on (trace_id)
        trace_id,
        agent_name
    from routing_decisions
    order by trace_id asc, routed_at desc, routing_decision_id asc
)

select
    executions.trace_id,
    executions.correlation_id,
    executions.parent_id,
    roots.trace_id::text as run_id,
    last_routing_decisions.agent_name,
    executions.started_at
from executions
left join executions as roots on executions.root_id = roots.correlation_id
left join last_routing_decisions on executions.trace_id = last_routing_decisions.trace_id
