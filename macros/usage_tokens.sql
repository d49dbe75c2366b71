{# A count of an LLM call's usage object, whoever's it is; null where it does not tell. Input holds what was read
   from and written to a cache, output what was thought: providers differ in that, and the keys they write tell
   which of them it was. Counts of one list are added. `component` is input, cached_input, cache_write, output,
   reasoning or total; `is_plain` a condition under which the keys are those of the last, whatever else is there. #}
{% macro usage_tokens(usage, component, is_plain) -%}
    {%- set conventions = [
        {
            "whose": "OpenAI, and who speaks like it",
            "keys": ["prompt_tokens", "completion_tokens"],
            "input": ["prompt_tokens"],
            "cached_input": ["prompt_tokens_details/cached_tokens"],
            "cache_write": ["prompt_tokens_details/cache_write_tokens"],
            "output": ["completion_tokens"],
            "reasoning": ["completion_tokens_details/reasoning_tokens"],
            "total": ["total_tokens"],
        },
        {
            "whose": "Anthropic: what was cached stands beside the input",
            "keys": ["cache_read_input_tokens", "cache_creation_input_tokens"],
            "input": ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"],
            "cached_input": ["cache_read_input_tokens"],
            "cache_write": ["cache_creation_input_tokens"],
            "output": ["output_tokens"],
        },
        {
            "whose": "OpenAI, Responses",
            "keys": ["input_tokens_details", "output_tokens_details"],
            "input": ["input_tokens"],
            "cached_input": ["input_tokens_details/cached_tokens"],
            "cache_write": ["input_tokens_details/cache_write_tokens"],
            "output": ["output_tokens"],
            "reasoning": ["output_tokens_details/reasoning_tokens"],
            "total": ["total_tokens"],
        },
        {
            "whose": "Google: what was thought, and what tools gave back, stands beside",
            "keys": ["promptTokenCount", "candidatesTokenCount"],
            "input": ["promptTokenCount", "toolUsePromptTokenCount"],
            "cached_input": ["cachedContentTokenCount"],
            "output": ["candidatesTokenCount", "thoughtsTokenCount"],
            "reasoning": ["thoughtsTokenCount"],
            "total": ["totalTokenCount"],
        },
        {
            "whose": "OpenTelemetry",
            "keys": ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"],
            "input": ["gen_ai.usage.input_tokens"],
            "cached_input": ["gen_ai.usage.cache_read.input_tokens"],
            "cache_write": ["gen_ai.usage.cache_creation.input_tokens"],
            "output": ["gen_ai.usage.output_tokens"],
            "reasoning": ["gen_ai.usage.reasoning.output_tokens"],
        },
    ] -%}
    case
        when
            {{ is_plain }}
            or not {{ usage }} ?| array['{{ conventions | sum(attribute="keys", start=[]) | join("', '") }}']
            then {{ json_number(usage, component ~ "_tokens") }}
        {%- for convention in conventions %}
        when {{ usage }} ?| array['{{ convention["keys"] | join("', '") }}'] then
            {%- set counts = [] %}
            {%- for path in convention.get(component, []) %}
            {%- set keys = path.split("/") %}
            {%- do counts.append(
                json_number(usage ~ (" -> '" ~ keys[0] ~ "'" if keys | length > 1 else ""), keys[-1])
            ) %}
            {%- endfor %}
            {{ "(select sum(n) from unnest(array[" ~ counts | join(", ") ~ "]) as n)" if counts | length > 1
                else counts | first | default("null", true) }}
        {%- endfor %}
    end
{%- endmacro %}
