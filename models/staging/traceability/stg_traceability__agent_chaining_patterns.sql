-- One row per chain of agents that hand over to each other.
select
    id as chain_id,
    tenant_id as tenant_key,
    chain_pattern as agent_sequence,
    array_to_string(chain_pattern, ' → ') as chain,
    delegation_depth,
    occurrence_count,
    avg_success_rate as success_rate,
    avg_total_duration_ms,
    avg_coordination_overhead_ms,
    last_used_at,
    created_at
from {{ source("traceability", "agent_chaining_patterns") }}
