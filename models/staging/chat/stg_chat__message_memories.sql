-- One row per message and memory that it used.
with chat_messages_v2 as (
    select * from {{ source("chat", "chat_messages_v2") }}
),

unnested as (
    select distinct
        id as message_id,
        tenant_id as tenant_key,
        unnest(memory_refs) as memory_id
    from chat_messages_v2
)

select * from unnested
