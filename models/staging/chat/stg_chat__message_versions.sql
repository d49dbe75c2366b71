-- One row per edit of a message: what it said before, which stays in the raw layer.
with message_versions as (
    select * from {{ source("chat", "message_versions") }}
),

renamed as (
    select
        id as message_version_id,
        message_id,
        session_id,
        tenant_id as tenant_key,
        version_number,
        created_at as edited_at
    from message_versions
)

select * from renamed
