-- One row per making of one memory out of others.
select
    id as consolidation_id,
    agent_id,
    tenant_id as tenant_key,
    consolidated_memory_id,
    consolidation_type,
    tokens_saved,
    created_at as consolidated_at
from {{ source("chat", "memory_consolidations") }}
