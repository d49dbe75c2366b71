{# From an execution to the days of all executions under the same root, and of their hooks and endpoint calls. #}
{% macro days_of_steps() -%}
    select (steps.started_at at time zone 'UTC')::date
    from {{ executions_under_root() }}
    inner join lateral (
        select executions.started_at
        union all
        select hooks.started_at
        from {{ raw_table("traceability", "hook_executions") }} as hooks
        where hooks.trace_id = executions.id
        union all
        select calls.started_at
        from {{ raw_table("traceability", "endpoint_calls") }} as calls
        where calls.trace_id = executions.id
        union all
        select departed.day::timestamp at time zone 'UTC'
        from ops.departed_keys as departed
        where
            departed.table_name in (
                'traceability.hook_executions',
                'traceability.endpoint_calls'
            )
            and departed.key = executions.id::text
    ) as steps on true
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
