-- One row per memory and memory that it names as related.
with agent_memories as (
    select * from {{ source("chat", "agent_memories") }}
),

unnested as (
    select distinct
        id as memory_id,
        tenant_id as tenant_key,
        unnest(related_memories) as related_memory_id
    from agent_memories
)

select * from unnested
