{# A number at a key of a JSON object; null where the key is absent or holds no number. #}
{% macro json_number(column, key) -%}
    case jsonb_typeof({{ column }} -> '{{ key }}')
        when 'number' then ({{ column }} -> '{{ key }}')::numeric
    end
{%- endmacro %}
