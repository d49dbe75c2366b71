-- One row per span: an LLM call, a tool call or another step of a trace.
with spans as (
    select * from {{ source("observability", "spans") }}
),

renamed as (
    select
        span_id,
        trace_id,
        parent_span_id,
        tenant_id as tenant_key,
        span_type,
        name as span_name,
        started_at,
        completed_at as ended_at,
        duration_ms,
        {{ conform_status("status") }} as status,
        status as status_recorded,
        error_type,
        nullif(model, '') as model_recorded,
        coalesce(metadata ->> 'payer', 'agent') as payer,
        {{ json_number("tokens", "input_tokens") }} as input_tokens,
        {{ json_number("tokens", "cached_input_tokens") }} as cached_input_tokens,
        {{ json_number("tokens", "cache_write_tokens") }} as cache_write_tokens,
        {{ json_number("tokens", "output_tokens") }} as output_tokens,
        {{ json_number("tokens", "reasoning_tokens") }} as reasoning_tokens,
        {{ json_number("tokens", "total_tokens") }} as total_tokens,
        cost as reported_cost_usd,
        coalesce(metadata @> '{"call_is_missing": true}', false) as is_call_missing
    from spans
)

select * from renamed
