-- One row per memory of an agent. What is remembered stays in the raw layer.
select
    id as memory_id,
    agent_id,
    tenant_id as tenant_key,
    memory_type,
    importance::numeric as importance,
    decay_rate::numeric as decay_rate,
    access_count,
    source_message_id,
    created_at,
    last_accessed as last_accessed_at,
    expires_at
from {{ source("chat", "agent_memories") }}
