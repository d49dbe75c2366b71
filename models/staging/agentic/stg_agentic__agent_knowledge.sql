-- One row per piece of knowledge that an agent keeps. Its content stays in the raw layer.
select
    knowledge_id,
    agent_id,
    tenant_id as tenant_key,
    knowledge_type,
    domain,
    usage_count,
    success_count,
    success_rate,
    created_at,
    last_used_at
from {{ source("agentic", "agent_knowledge") }}
