{# From an execution, or a decision on who takes it, to the days of all such decisions. #}
{% macro days_of_routing_decisions() -%}
    select (decisions.created_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("traceability", "agent_routing_decisions") }} as decisions
        on decisions.trace_id = (keys ->> 'trace_id')::uuid
    union all
    {{ departed_days("traceability", "agent_routing_decisions", "keys ->> 'trace_id'") }}
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
