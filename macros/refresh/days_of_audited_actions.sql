{# From a session to the days of its audited actions: the log knows sessions that come later, or are gone. #}
{% macro days_of_audited_actions() -%}
    select (audited.timestamp at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("agentic", "agent_audit_log") }} as audited
        on audited.session_id = (keys ->> 'session_id')::uuid
    union all
    {{ departed_days("agentic", "agent_audit_log", "keys ->> 'session_id'") }}
{%- endmacro %}
