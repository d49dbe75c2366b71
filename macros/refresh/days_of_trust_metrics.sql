{# From a session to the days on which it was measured. #}
{% macro days_of_trust_metrics() -%}
    select (metrics.recorded_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("agentic", "trust_metrics") }} as metrics
        on metrics.session_id = (keys ->> 'session_id')::uuid
    union all
    {{ departed_days("agentic", "trust_metrics", "keys ->> 'session_id'") }}
{%- endmacro %}
