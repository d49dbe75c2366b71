{# The days under which models count rows of a raw table that have left, by any of their ids: beside those that are
   found in it. #}
{% macro departed_days(source_name, table_name, key) -%}
    select departed.day
    from changes
    inner join ops.departed_keys as departed
        on
            departed.table_name = '{{ source_name }}.{{ table_name }}'
            and departed.found_by @> array[{{ key }}]
{%- endmacro %}
