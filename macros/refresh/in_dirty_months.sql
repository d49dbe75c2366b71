{# As in_dirty_days, in a model by month. #}
{% macro in_dirty_months(column) -%}
    /* dirty months: {{ column }} */ true
{%- endmacro %}
