-- One row per LLM call, billed to the agent or to its counterpart.
with spans as (
    select * from {{ ref("stg_observability__spans") }}
),

traces as (
    select * from {{ ref("stg_observability__traces") }}
),

messages as (
    select * from {{ ref("stg_agentic__conversation_history") }}
),

span_calls as (
    select
        spans.span_id::text as llm_call_id,
        'observability' as source_system,
        traces.run_id,
        spans.started_at as called_at,
        spans.payer,
        spans.model_recorded,
        spans.duration_ms,
        spans.input_tokens,
        spans.cached_input_tokens,
        spans.cache_write_tokens,
        spans.output_tokens,
        case
            when spans.input_tokens is null or spans.output_tokens is null
                then spans.total_tokens
                    - coalesce(spans.input_tokens, 0) - coalesce(spans.output_tokens, 0)
        end as unsplit_tokens,
        spans.reported_cost_usd
    from spans
    inner join traces on spans.trace_id = traces.trace_id
    where spans.span_type = 'llm'
),

message_calls as (
    select
        message_id::text as llm_call_id,
        'agentic' as source_system,
        session_id::text as run_id,
        sent_at as called_at,
        'agent' as payer,
        model_recorded,
        null::numeric as duration_ms,
        null::numeric as input_tokens,
        null::numeric as cached_input_tokens,
        null::numeric as cache_write_tokens,
        null::numeric as output_tokens,
        total_tokens::numeric as unsplit_tokens,
        null::numeric as reported_cost_usd
    from messages
    where loaded_run_id is null and role = 'assistant' and total_tokens is not null
),

all_calls as (
    select * from span_calls
    union all
    select * from message_calls
)

select
    llm_call_id,
    source_system,
    run_id,
    called_at,
    payer,
    model_recorded,
    duration_ms,
    input_tokens,
    cached_input_tokens,
    cache_write_tokens,
    output_tokens,
    unsplit_tokens,
    reported_cost_usd
from all_calls
