{# Whether a rule of seed model_aliases holds for a text in lower case. #}
{% macro alias_matches(rule, text) -%}
    case {{ rule }}.match_kind
        when 'equals' then {{ text }} = {{ rule }}.pattern
        when 'starts_with' then starts_with({{ text }}, {{ rule }}.pattern)
        when 'ends_with' then right({{ text }}, length({{ rule }}.pattern)) = {{ rule }}.pattern
        when 'contains' then strpos({{ text }}, {{ rule }}.pattern) > 0
        when 'regex' then {{ text }} ~ {{ rule }}.pattern
        else false
    end
{%- endmacro %}
