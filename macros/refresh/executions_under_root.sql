{# The executions under the root of the changed one, with the time they started: those that have left by their day. #}
{% macro executions_under_root() -%}
    changes
    inner join lateral (
        select found.id, found.started_at
        from {{ raw_table("traceability", "execution_traces") }} as found
        where found.root_id in ((keys ->> 'root_id')::uuid, (keys ->> 'correlation_id')::uuid)
        union all
        select departed.key::uuid, departed.day::timestamp at time zone 'UTC'
        from ops.departed_keys as departed
        where
            departed.table_name = 'traceability.execution_traces'
            and departed.found_by && array[keys ->> 'root_id', keys ->> 'correlation_id']
    ) as executions on true
{%- endmacro %}
