{# From what a run used, or was judged, to the day the run started on: for dirtied_by. #}
{% macro days_of_runs(agent_runs) -%}
    select agent_runs.run_date
    from changes
    inner join {{ agent_runs }} as agent_runs
        on
            agent_runs.run_id = keys ->> 'run_id'
            and agent_runs.source_system = keys ->> 'source_system'
{%- endmacro %}
