-- One row per message of a session.
select
    message_id,
    session_id,
    tenant_id as tenant_key,
    {{ loaded_run_id() }} as loaded_run_id,
    case role when 'agent' then 'assistant' else role end as role,
    message_type,
    parent_message_id,
    created_at as sent_at,
    tokens_used as total_tokens,
    nullif(model_used, '') as model_recorded
from {{ source("agentic", "conversation_history") }}
