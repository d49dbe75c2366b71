{# From days to the months they lie in: for dirtied_by of a model whose period is a month, by its first day. #}
{% macro months_of_days() -%}
    select date_trunc('month', (keys ->> 'day')::timestamp)::date from changes
{%- endmacro %}
