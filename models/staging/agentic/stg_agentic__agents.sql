-- One row per agent of the agentic system.
with agents as (
    select * from {{ source("agentic", "agents") }}
),

renamed as (
    select
        agent_id,
        tenant_id as tenant_key,
        name as agent_name,
        persona_type,
        config ->> 'version' as agent_version,
        config ->> 'model' as model_recorded,
        is_active,
        created_at
    from agents
)

select * from renamed
