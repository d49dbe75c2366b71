{# Joins a component's price as it was at a call's start and for a call of its size: exactly one row
   of int_prices__tiered holds for one moment and one number of input tokens. #}
{% macro price_join(component) -%}
    left join prices as {{ component }}_prices
        on
            models.provider = {{ component }}_prices.provider
            and models.model = {{ component }}_prices.model
            and {{ component }}_prices.component = '{{ component }}'
            and calls.called_on >= {{ component }}_prices.valid_from
            and calls.called_on < {{ component }}_prices.valid_to
            and calls.called_at_time >= {{ component }}_prices.time_from_utc
            and calls.called_at_time < {{ component }}_prices.time_to_utc
            and coalesce(calls.input_tokens, 0) >= {{ component }}_prices.input_tokens_from
            and coalesce(calls.input_tokens, 0) < {{ component }}_prices.input_tokens_to
{%- endmacro %}
