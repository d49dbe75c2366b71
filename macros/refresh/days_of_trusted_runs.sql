{# From an agent's day of trust to the days of its runs up to its next such day: those start with what it says. #}
{% macro days_of_trusted_runs(agent_runs, trust_progression) -%}
    select runs.run_date
    from changes
    inner join {{ agent_runs }} as runs
        on
            runs.agent_domain_key = keys ->> 'agent_domain_key'
            and runs.source_system = 'agentic'
            and runs.run_date > (keys ->> 'day')::date
    where
        not exists (
            select
            from {{ trust_progression }} as later
            where
                later.agent_domain_key = keys ->> 'agent_domain_key'
                and later.as_of_date > (keys ->> 'day')::date
                and later.as_of_date < runs.run_date
        )
{%- endmacro %}
