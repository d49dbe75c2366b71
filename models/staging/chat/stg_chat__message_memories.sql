-- One row per message and memory that it used.
select distinct
    id as message_id,
    tenant_id as tenant_key,
    unnest(memory_refs) as memory_id
from {{ source("chat", "chat_messages_v2") }}
where not ({{ is_first_generation("session_id") }})
