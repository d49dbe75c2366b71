-- One row per saved workflow. Its graph stays in the raw layer.
select
    id as workflow_id,
    tenant_id as tenant_key,
    name as workflow_name,
    is_template,
    is_deployed,
    created_at
from {{ source("observability", "workflows") }}
