-- One row per memory and memory that it names as related.
select distinct
    id as memory_id,
    tenant_id as tenant_key,
    unnest(related_memories) as related_memory_id
from {{ source("chat", "agent_memories") }}
