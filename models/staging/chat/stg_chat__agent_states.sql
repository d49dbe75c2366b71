-- One row per version of an agent's state. What the state is stays in the raw layer.
select
    id as state_id,
    agent_id,
    tenant_id as tenant_key,
    version as state_version,
    modification_count,
    valid_from,
    valid_until,
    is_current
from {{ source("chat", "agent_states") }}
