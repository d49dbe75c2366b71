{# From a run to its agent and domain. #}
{% macro keys_of_runs(agent_runs) -%}
    select agent_runs.agent_domain_key
    from changes
    inner join {{ agent_runs }} as agent_runs
        on
            agent_runs.run_id = keys ->> 'run_id'
            and agent_runs.source_system = keys ->> 'source_system'
{%- endmacro %}
