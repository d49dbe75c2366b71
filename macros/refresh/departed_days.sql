{# The days on which a raw table had rows of a trace or session that have left: beside those that are found in it. #}
{% macro departed_days(source_name, table_name, key) -%}
    select departed.day
    from changes
    inner join ops.departed_keys as departed
        on departed.table_name = '{{ raw_table(source_name, table_name) }}' and departed.key = {{ key }}
{%- endmacro %}
