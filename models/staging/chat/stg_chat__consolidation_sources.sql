-- One row per consolidation and memory that went into it.
with memory_consolidations as (
    select * from {{ source("chat", "memory_consolidations") }}
),

unnested as (
    select distinct
        id as consolidation_id,
        tenant_id as tenant_key,
        unnest(source_memories) as memory_id
    from memory_consolidations
)

select * from unnested
