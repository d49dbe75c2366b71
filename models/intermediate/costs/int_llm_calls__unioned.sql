-- One row per LLM call, billed to the agent or to its counterpart.
-- The types of the parts are the same, and no trace can leave a span out: so PostgreSQL skips what a
-- model on this does not ask for, traces and tokens too.
with spans as (
    select * from {{ ref("stg_observability__spans") }}
),

traces as (
    select * from {{ ref("stg_observability__traces") }}
),

messages as (
    select * from {{ ref("stg_agentic__conversation_history") }}
),

raaf_spans as (
    select * from {{ ref("stg_raaf__spans") }}
),

chat_messages as (
    select * from {{ ref("stg_chat__messages") }}
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
        spans.reasoning_tokens,
        {{ unsplit_tokens("spans") }} as unsplit_tokens,
        spans.reported_cost_usd
    from spans
    left join traces on spans.trace_id = traces.trace_id
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
        null::numeric as reasoning_tokens,
        total_tokens::numeric as unsplit_tokens,
        null::numeric as reported_cost_usd
    from messages
    where loaded_run_id is null and role = 'assistant' and total_tokens is not null
),

-- Agent and job spans repeat their children's tokens, so one level counts: LLM spans where the trace
-- has any with tokens, else agent spans.
raaf_spans_with_tokens as not materialized (
    select * from raaf_spans
    where
        kind in ('llm', 'agent')
        and num_nonnulls(input_tokens, output_tokens, total_tokens) > 0
),

raaf_calls as (
    select
        raaf_spans.span_id::text as llm_call_id,
        'raaf' as source_system,
        raaf_spans.trace_id::text as run_id,
        raaf_spans.started_at as called_at,
        'agent' as payer,
        raaf_spans.model_recorded,
        raaf_spans.duration_ms,
        raaf_spans.input_tokens,
        raaf_spans.cached_input_tokens,
        raaf_spans.cache_write_tokens,
        raaf_spans.output_tokens,
        raaf_spans.reasoning_tokens,
        {{ unsplit_tokens("raaf_spans") }} as unsplit_tokens,
        null::numeric as reported_cost_usd
    from raaf_spans_with_tokens as raaf_spans
    where
        raaf_spans.kind = 'llm'
        or not exists (
            select from raaf_spans_with_tokens as llm_spans
            where llm_spans.trace_id = raaf_spans.trace_id and llm_spans.kind = 'llm'
        )
),

chat_calls as (
    select
        message_id::text as llm_call_id,
        'chat' as source_system,
        session_id::text as run_id,
        sent_at as called_at,
        'agent' as payer,
        model_recorded,
        inference_ms as duration_ms,
        input_tokens,
        null::numeric as cached_input_tokens,
        null::numeric as cache_write_tokens,
        output_tokens,
        null::numeric as reasoning_tokens,
        {{ unsplit_tokens() }} as unsplit_tokens,
        null::numeric as reported_cost_usd
    from chat_messages
    where role = 'assistant' and num_nonnulls(input_tokens, output_tokens, total_tokens) > 0
),

all_calls as (
    select * from span_calls
    union all
    select * from message_calls
    union all
    select * from raaf_calls
    union all
    select * from chat_calls
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
    reasoning_tokens,
    unsplit_tokens,
    reported_cost_usd
from all_calls
