{# Why a reported cost is not the computed one, found by what reproduces it: the first other way to count or to
   price the call's tokens that gives the reported figure. Over the columns of a priced call, and `prices`. #}
{% macro explained_difference() -%}
    {%- set otherwise = {
        "cached tokens priced as fresh":
            "computed_cost_usd - cached_input_cost_usd + cached_input_tokens * input_price * 0.000001",
        "cached tokens counted twice": "computed_cost_usd + cached_input_tokens * input_price * 0.000001",
        "cached tokens left out": "computed_cost_usd - cached_input_cost_usd",
        "cache writes priced as fresh":
            "computed_cost_usd - cache_write_cost_usd + cache_write_tokens * input_price * 0.000001",
        "cache writes left out": "computed_cost_usd - cache_write_cost_usd",
        "reasoning counted twice": "computed_cost_usd + reasoning_cost_usd",
        "reasoning left out": "computed_cost_usd - reasoning_cost_usd",
        "fee per call left out": "computed_cost_usd - request_cost_usd",
    } -%}
    {%- set at_other_prices = component_costs(prices="prices.").values() | join(" + ") -%}
    {# How many tokens the source would have left untold: a whole number explains the difference. #}
    {%- set untold = {
        "cached tokens not recorded": [
            "(computed_cost_usd - reported_cost_usd) * 1e6 / nullif(input_price - cached_input_price, 0)",
            "fresh_input_tokens",
        ],
        "output tokens not recorded": [
            "(reported_cost_usd - computed_cost_usd) * 1e6 / nullif(output_price, 0)", "1e6"
        ],
    } -%}
    case
        when reported_cost_usd is null then null
        when input_tokens is null or output_tokens is null then 'no token counts'
        when computed_cost_usd is null then 'no price'
        -- Sources that add up floats are off by less than this.
        when abs(reported_cost_usd - computed_cost_usd) < 1e-9 then 'equal'
        when reported_cost_usd = 0 then 'reported as free'
        when
            scale(reported_cost_usd) >= 2
            and abs(reported_cost_usd - computed_cost_usd) <= 0.5 * 10.0 ^ -scale(reported_cost_usd)
            then 'rounding'
        {%- for reason, cost in otherwise.items() %}
        when abs(reported_cost_usd - ({{ cost }})) < 1e-9 then '{{ reason }}'
        {%- endfor %}
        when exists (
            select from prices
            where
                prices.provider = computed.provider
                and prices.model = computed.model
                and abs(reported_cost_usd - ({{ at_other_prices }})) < 1e-9
        ) then 'price of another size, hour, day or edition'
        {%- for reason, (tokens, most) in untold.items() %}
        when
            {{ tokens }} between 1 and {{ most }}
            and abs({{ tokens }} - round({{ tokens }})) < 0.0001
            then '{{ reason }}'
        {%- endfor %}
        else 'unexplained'
    end
{%- endmacro %}
