{# From a session to the days of its messages. #}
{% macro days_of_agentic_messages() -%}
    select (messages.created_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("agentic", "conversation_history") }} as messages on messages.session_id = (keys ->> 'session_id')::uuid
{%- endmacro %}
