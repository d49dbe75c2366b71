{# From an execution, or a decision on who takes it, to the days of the executions it hands to, and of all under
   its root. #}
{% macro days_of_delegations() -%}
    {%- set executions = raw_table("traceability", "execution_traces") -%}
    select (executions.started_at at time zone 'UTC')::date
    from changes
    inner join {{ executions }} as executions
        on
            executions.id = (keys ->> 'trace_id')::uuid
            or executions.parent_id = (keys ->> 'correlation_id')::uuid
            or executions.root_id = (keys ->> 'root_id')::uuid
            or executions.root_id = (keys ->> 'correlation_id')::uuid
    union all
    select (children.started_at at time zone 'UTC')::date
    from changes
    inner join {{ executions }} as parents on parents.id = (keys ->> 'trace_id')::uuid
    inner join {{ executions }} as children on children.parent_id = parents.correlation_id
    union all
    select departed.day
    from changes
    inner join ops.departed_keys as departed
        on
            departed.table_name = 'traceability.execution_traces'
            and departed.found_by && array[keys ->> 'trace_id', keys ->> 'root_id', keys ->> 'correlation_id']
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
