{# What a call costs by component, in USD by unit prices per million: expressions over the columns of its tokens and
   of int_prices__combined, qualified by `prices`. A sum of calls of one price band has the sum of their costs. #}
{% macro component_costs(calls="1", prices="") %}
    {{ return({
        "input_cost_usd": "fresh_input_tokens * " ~ prices ~ "input_price * 0.000001",
        "cached_input_cost_usd":
            "coalesce(cached_input_tokens, 0) * " ~ prices ~ "cached_input_price * 0.000001",
        "cache_write_cost_usd":
            "coalesce(cache_write_tokens, 0) * " ~ prices ~ "cache_write_price * 0.000001",
        "output_cost_usd":
            "(output_tokens - coalesce(reasoning_tokens, 0)) * " ~ prices ~ "output_price * 0.000001",
        "reasoning_cost_usd": "coalesce(reasoning_tokens, 0) * " ~ prices ~ "reasoning_price * 0.000001",
        "request_cost_usd": calls ~ " * " ~ prices ~ "request_price * 0.000001",
    }) }}
{% endmacro %}
