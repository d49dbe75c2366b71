-- One row per span: an LLM call, a tool call or another step of a trace.
{%- set is_loaded = "metadata ? 'loader'" %}

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
    {{ usage_tokens("tokens", "input", is_loaded) }} as input_tokens,
    {{ usage_tokens("tokens", "cached_input", is_loaded) }} as cached_input_tokens,
    {{ usage_tokens("tokens", "cache_write", is_loaded) }} as cache_write_tokens,
    {{ usage_tokens("tokens", "output", is_loaded) }} as output_tokens,
    {{ usage_tokens("tokens", "reasoning", is_loaded) }} as reasoning_tokens,
    {{ usage_tokens("tokens", "total", is_loaded) }} as total_tokens,
    cost::numeric as reported_cost_usd,
    {{ json_number("api_limits", "remaining") }} as api_calls_remaining,
    {{ json_number("evaluation -> 'metrics'", "avg_relevance_score") }} as mean_relevance,
    {{ json_number("evaluation -> 'metrics'", "result_count") }} as results,
    {{ json_number("evaluation -> 'metrics'", "score_improvement") }} as score_improvement,
    {{ json_number("evaluation -> 'metrics'", "chunk_size") }} as chunk_size,
    {{ json_number("evaluation -> 'metrics'", "chunk_overlap") }} as chunk_overlap,
    coalesce(metadata @> '{"call_is_missing": true}', false) as is_call_missing
from {{ source("observability", "spans") }}
