-- One row per session of a conversation.
select
    id as session_id,
    conversation_id,
    tenant_id as tenant_key,
    user_id::text as user_id,
    agent_id,
    started_at,
    ended_at,
    {{ conform_status("status") }} as status,
    status as status_recorded
from {{ source("chat", "conversation_sessions") }}
where not ({{ is_first_generation("id") }})
