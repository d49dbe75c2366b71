{# From an agent to the days its conversations started on. #}
{% macro days_of_chat_sessions() -%}
    select (sessions.started_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("chat", "conversation_sessions") }} as sessions on sessions.agent_id = (keys ->> 'id')::uuid
    union all
    {{ departed_days("chat", "conversation_sessions", "keys ->> 'id'") }}
{%- endmacro %}
