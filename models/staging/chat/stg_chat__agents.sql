-- One row per agent of the chat system.
select
    id as agent_id,
    tenant_id as tenant_key,
    lower(btrim(name)) as agent_name,
    active as is_active,
    created_at
from {{ source("chat", "agents") }}
