-- One row per decision of the router: which agent takes an execution.
with agent_routing_decisions as (
    select * from {{ source("traceability", "agent_routing_decisions") }}
),

renamed as (
    select
        id as routing_decision_id,
        trace_id,
        tenant_id as tenant_key,
        lower(btrim(agent_selected)) as agent_name,
        confidence_score,
        routing_strategy,
        pattern_id,
        decision_duration_ms,
        created_at as routed_at
    from agent_routing_decisions
)

select * from renamed
