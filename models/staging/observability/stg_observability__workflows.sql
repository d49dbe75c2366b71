-- One row per saved workflow. Its graph stays in the raw layer.
with workflows as (
    select * from {{ source("observability", "workflows") }}
),

renamed as (
    select
        id as workflow_id,
        tenant_id as tenant_key,
        name as workflow_name,
        is_template,
        is_deployed,
        created_at
    from workflows
)

select * from renamed
