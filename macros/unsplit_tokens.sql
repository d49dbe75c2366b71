{# Tokens known only in total: what a total holds beyond the counts that are known, where one of them is
   not; null where both are. `relation` is what the columns are qualified with, if anything. #}
{% macro unsplit_tokens(relation=none) -%}
    {%- set of = relation ~ "." if relation else "" -%}
    case
        when {{ of }}input_tokens is null or {{ of }}output_tokens is null
            then
                {{ of }}total_tokens
                - coalesce({{ of }}input_tokens, 0)
                - coalesce({{ of }}output_tokens, 0)
    end
{%- endmacro %}
