{# From a decision to its own day, and the day its run started on, under which a verdict without a decision counts. #}
{% macro days_of_decided_runs(agent_runs) -%}
    {{ days_of_runs(agent_runs) }}
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
