{# As in_dirty, for a column that is a UTC day already. #}
{% macro in_dirty_days(column) -%}
    /* dirty days: {{ column }} */ true
{%- endmacro %}
