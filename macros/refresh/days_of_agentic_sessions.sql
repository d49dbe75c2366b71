{# From an agent to the days its sessions started on. #}
{% macro days_of_agentic_sessions() -%}
    select (sessions.started_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("agentic", "agent_sessions") }} as sessions on sessions.agent_id = (keys ->> 'agent_id')::uuid
    union all
    {{ departed_days("agentic", "agent_sessions", "keys ->> 'agent_id'") }}
{%- endmacro %}
