{# From a session to the days of its decisions. #}
{% macro days_of_agentic_decisions() -%}
    select (decisions.created_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("agentic", "agent_decisions") }} as decisions on decisions.session_id = (keys ->> 'session_id')::uuid
{%- endmacro %}
