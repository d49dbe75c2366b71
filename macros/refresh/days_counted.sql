{# From a trace or a session to the days under which a table counts its run, by the table's column. What has
   come to the run since is a change of its own. #}
{% macro days_counted(counted, day, own_id) -%}
    select counted.{{ day }}
    from changes
    inner join {{ counted }} as counted
        on counted.run_id = coalesce(keys ->> 'loaded_run_id', keys ->> '{{ own_id }}')
{%- endmacro %}
