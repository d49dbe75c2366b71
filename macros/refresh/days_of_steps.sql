{# From an execution to the days of all executions under the same root, and of their hooks and endpoint calls. #}
{% macro days_of_steps() -%}
    select (steps.started_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("traceability", "execution_traces") }} as executions
        on executions.root_id in ((keys ->> 'root_id')::uuid, (keys ->> 'correlation_id')::uuid)
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
                '{{ raw_table("traceability", "hook_executions") }}',
                '{{ raw_table("traceability", "endpoint_calls") }}'
            )
            and departed.key = executions.id::text
    ) as steps on true
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
