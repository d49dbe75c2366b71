-- One row per span of the agent framework. Agent and job spans repeat their children's tokens.
{%- set whole_number = "^[0-9]{1,15}$" %}
{%- set cache_reads = [
    "llm.tokens.cache_read", "llm.usage.cache_read_input_tokens", "usage.cache_read_input_tokens"
] %}
{%- set cache_writes = [
    "llm.tokens.cache_creation", "llm.usage.cache_creation_input_tokens",
    "usage.cache_creation_input_tokens",
] %}

select
    span_id,
    trace_id,
    parent_id,
    tenant_id as tenant_key,
    kind,
    name as span_name,
    coalesce(
        nullif(btrim(agent_name), ''), {{ raaf_attribute(["agent.name"]) }}
    ) as agent_name,
    execution_metadata ->> 'agent_version' as agent_version,
    coalesce({{ raaf_attribute(["function.name", "tool.name"]) }}, name) as tool_name,
    coalesce(
        nullif(agent_model, ''),
        {{ raaf_attribute(["agent.model", "llm.request.model", "llm.model", "model"]) }}
    ) as model_recorded,
    start_time as started_at,
    end_time as ended_at,
    coalesce(duration_ms, extract(epoch from end_time - start_time) * 1000) as duration_ms,
    {{ conform_status("status") }} as status,
    status as status_recorded,
    case
        when status = 'error'
            then coalesce(
                    jsonb_path_query_first(
                        events, '$[*] ? (@.name == "exception").attributes."exception.type"'
                    ) #>> '{}',
                    execution_metadata #>> '{error_info,type}',
                    'unclassified'
                )
    end as error_type,
    {{ raaf_attribute(["handoff.from"]) }} as handoff_from,
    {{ raaf_attribute(["handoff.to"]) }} as handoff_to,
    case
        when jsonb_typeof(execution_metadata -> 'handoffs') = 'array'
            then execution_metadata -> 'handoffs'
    end as handoffs_listed,
    case
        when jsonb_typeof(execution_metadata -> 'tools_used') = 'array'
            then execution_metadata -> 'tools_used'
    end as tools_listed,
    coalesce(
        input_tokens,
        {{ raaf_attribute([
            "input_tokens", "llm.usage.input_tokens", "llm.usage.prompt_tokens",
            "usage.input_tokens", "usage.prompt_tokens", "llm.tokens.input",
        ], whole_number) }}::numeric
    )
    -- These are Anthropic's words, in whose input they are not contained; in a prompt they are.
    + case
        when {{ raaf_attribute(["llm.usage.prompt_tokens", "usage.prompt_tokens"]) }} is null
            then
                coalesce({{ raaf_attribute(cache_reads, whole_number) }}::numeric, 0)
                + coalesce({{ raaf_attribute(cache_writes, whole_number) }}::numeric, 0)
        else 0
    end as input_tokens,
    {{ raaf_attribute(cache_reads + [
        "llm.usage.prompt_tokens_details.cached_tokens",
        "llm.usage.input_tokens_details.cached_tokens",
        "usage.prompt_tokens_details.cached_tokens", "usage.input_tokens_details.cached_tokens",
    ], whole_number) }}::numeric as cached_input_tokens,
    {{ raaf_attribute(cache_writes, whole_number) }}::numeric as cache_write_tokens,
    coalesce(
        output_tokens,
        {{ raaf_attribute([
            "output_tokens", "llm.usage.output_tokens", "llm.usage.completion_tokens",
            "usage.output_tokens", "usage.completion_tokens", "llm.tokens.output",
        ], whole_number) }}::numeric
    ) as output_tokens,
    {{ raaf_attribute([
        "llm.usage.completion_tokens_details.reasoning_tokens",
        "llm.usage.output_tokens_details.reasoning_tokens",
        "usage.completion_tokens_details.reasoning_tokens",
        "usage.output_tokens_details.reasoning_tokens",
    ], whole_number) }}::numeric as reasoning_tokens,
    coalesce(
        total_tokens,
        {{ raaf_attribute(["total_tokens", "llm.usage.total_tokens", "usage.total_tokens",
            "llm.tokens.total"], whole_number) }}::numeric
    ) as total_tokens,
    call_fee_cents / 100 as fee_usd
from {{ source("raaf", "raaf_tracing_spans") }}
