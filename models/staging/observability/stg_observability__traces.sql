-- One row per trace of the workflow engine, or per loaded agent run.
{%- set uuid = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$" %}

select
    trace_id,
    coalesce({{ loaded_run_id() }}, trace_id::text) as run_id,
    execution_id,
    tenant_id as tenant_key,
    workflow_id as workflow,
    case when workflow_id ~ '{{ uuid }}' then workflow_id::uuid end as workflow_id,
    coalesce(user_id::text, metadata ->> 'user_id') as user_id,
    metadata -> 'agent' ->> 'name' as agent_name,
    metadata -> 'agent' ->> 'version' as agent_version,
    metadata -> 'agent' ->> 'model' as model_recorded,
    metadata ->> 'domain' as domain,
    metadata ->> 'task_id' as task_id,
    case
        when {{ json_number("metadata", "trial") }} between 0 and 2147483647
            then ({{ json_number("metadata", "trial") }})::int
    end as trial,
    started_at,
    completed_at as ended_at,
    total_duration_ms as duration_recorded_ms,
    {{ conform_status("status") }} as status,
    status as status_recorded,
    coalesce(
        metadata -> 'loader' ->> 'error_type',
        case when status = 'failed' then 'unclassified' end
    ) as error_type,
    {{ json_number("metadata", "reward") }} as reward,
    coalesce(
        {{ json_number("total_tokens", "input_tokens") }},
        {{ json_number("total_tokens", "input") }}
    ) as input_tokens,
    {{ json_number("total_tokens", "cached_input_tokens") }} as cached_input_tokens,
    coalesce(
        {{ json_number("total_tokens", "output_tokens") }},
        {{ json_number("total_tokens", "output") }}
    ) as output_tokens,
    coalesce(
        {{ json_number("total_tokens", "total_tokens") }},
        {{ json_number("total_tokens", "total") }}
    ) as total_tokens,
    {{ json_number("metadata", "agent_cost_usd") }} as agent_cost_recorded_usd,
    {{ json_number("metadata", "counterpart_cost_usd") }} as counterpart_cost_recorded_usd,
    total_cost as cost_recorded_usd,
    {{ json_number("metadata -> 'loader'", "fees_usd") }} as fees_usd
from {{ source("observability", "traces") }}
