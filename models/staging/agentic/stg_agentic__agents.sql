-- One row per agent of the agentic system.
select
    agent_id,
    tenant_id as tenant_key,
    name as agent_name,
    persona_type,
    config ->> 'version' as agent_version,
    config ->> 'model' as model_recorded,
    is_active,
    created_at
from {{ source("agentic", "agents") }}
