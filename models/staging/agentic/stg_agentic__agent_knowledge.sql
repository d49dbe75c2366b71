-- One row per piece of knowledge that an agent keeps. Its content stays in the raw layer.
with agent_knowledge as (
    select * from {{ source("agentic", "agent_knowledge") }}
),

renamed as (
    select
        knowledge_id,
        agent_id,
        tenant_id as tenant_key,
        knowledge_type,
        domain,
        usage_count,
        success_count,
        success_rate,
        created_at,
        last_used_at
    from agent_knowledge
)

select * from renamed
