-- One row per memory of an agent. What is remembered stays in the raw layer.
with agent_memories as (
    select * from {{ source("chat", "agent_memories") }}
),

renamed as (
    select
        id as memory_id,
        agent_id,
        tenant_id as tenant_key,
        memory_type,
        importance,
        decay_rate,
        access_count,
        source_message_id,
        created_at,
        last_accessed as last_accessed_at,
        expires_at
    from agent_memories
)

select * from renamed
