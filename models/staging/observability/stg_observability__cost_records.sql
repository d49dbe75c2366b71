-- One row per node of an execution that cost something.
select
    id as cost_record_id,
    execution_id,
    workflow_id,
    tenant_id as tenant_key,
    user_id::text as user_id,
    node_id,
    node_type,
    category,
    nullif(provider, '') as provider_recorded,
    nullif(model, '') as model_recorded,
    {{ json_number("tokens_used", "input") }} as input_tokens,
    {{ json_number("tokens_used", "output") }} as output_tokens,
    {{ json_number("tokens_used", "total") }} as total_tokens,
    cost::numeric as reported_cost_usd,
    duration_ms,
    created_at as booked_at
from {{ source("observability", "cost_records") }}
