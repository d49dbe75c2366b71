-- One row per user of the agentic system, without what tells who they are.
select
    user_id::text as user_id,
    tenant_id as tenant_key,
    is_active,
    created_at
from {{ source("agentic", "users") }}
