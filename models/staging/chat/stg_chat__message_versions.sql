-- One row per edit of a message: what it said before, which stays in the raw layer.
select
    id as message_version_id,
    message_id,
    session_id,
    tenant_id as tenant_key,
    version_number,
    created_at as edited_at
from {{ source("chat", "message_versions") }}
where not ({{ is_first_generation("session_id") }})
