-- One row per consolidation and memory that went into it.
select distinct
    id as consolidation_id,
    tenant_id as tenant_key,
    unnest(source_memories) as memory_id
from {{ source("chat", "memory_consolidations") }}
