{# Hash of a grain. A row's text form tells null from empty and quotes its parts, so that no two
   different grains give one key. #}
{% macro surrogate_key(columns) -%}
    md5(row({{ columns | join(", ") }})::text)
{%- endmacro %}
