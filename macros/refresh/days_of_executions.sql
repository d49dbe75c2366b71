{# From an execution to the day it started on. #}
{% macro days_of_executions() -%}
    select (executions.started_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("traceability", "execution_traces") }} as executions
        on executions.id = (keys ->> 'trace_id')::uuid
    union all
    {{ departed_days("traceability", "execution_traces", "keys ->> 'trace_id'") }}
{%- endmacro %}
