{# Schemas have their plain names where the marts are the product, and a prefix elsewhere, so that two
   developers who share a database do not collide. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set name = (custom_schema_name or target.schema) | trim -%}
    {%- if target.name in ("local", "prod") or custom_schema_name is none -%}
        {{ name }}
    {%- else -%}
        {{ target.schema }}_{{ name }}
    {%- endif -%}
{%- endmacro %}
