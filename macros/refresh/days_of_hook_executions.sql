{# From an execution to the days of the hooks of all executions under the same root. #}
{% macro days_of_hook_executions() -%}
    select (hooks.started_at at time zone 'UTC')::date
    from {{ executions_under_root() }}
    inner join {{ raw_table("traceability", "hook_executions") }} as hooks
        on hooks.trace_id = executions.id
    union all
    select departed.day
    from {{ executions_under_root() }}
    inner join ops.departed_keys as departed
        on
            departed.table_name = 'traceability.hook_executions'
            and departed.key = executions.id::text
{%- endmacro %}
