-- One row per message of a session. Its text stays in the raw layer. Copies of chat_messages are left out:
-- what no model counted before they moved, none counts on the way.
select
    id as message_id,
    session_id,
    conversation_id,
    tenant_id as tenant_key,
    role,
    content ->> 'type' as content_type,
    parent_message_id,
    created_at as sent_at,
    nullif(metadata ->> 'model', '') as model_recorded,
    {{ json_number("metadata -> 'tokens'", "prompt") }} as input_tokens,
    {{ json_number("metadata -> 'tokens'", "completion") }} as output_tokens,
    -- Some writers give a plain number, others an object.
    coalesce(
        {{ json_number("metadata", "tokens") }},
        {{ json_number("metadata -> 'tokens'", "total") }}
    ) as total_tokens,
    {{ json_number("metadata -> 'latency'", "inference_ms") }} as inference_ms
from {{ source("chat", "chat_messages_v2") }}
where not ({{ is_first_generation("session_id") }})
