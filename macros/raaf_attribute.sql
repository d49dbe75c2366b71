{# The first of several span attributes that says something. Writers use a dotted key and nested objects
   alike, and write N/A or unknown where they know nothing. `pattern` is what a value must look like. #}
{% macro raaf_attribute(keys, pattern=".") -%}
    coalesce(
        {%- for key in keys %}
        {%- for value in ["span_attributes ->> '" ~ key ~ "'", "span_attributes #>> '{" ~ key | replace(".", ",") ~ "}'"] %}
        case
            when
                {{ value }} ~ '{{ pattern }}'
                and lower({{ value }}) not in ('n/a', 'unknown')
                then {{ value }}
        end{{ "," if not (loop.last and key == keys[-1]) }}
        {%- endfor %}
        {%- endfor %}
    )
{%- endmacro %}
