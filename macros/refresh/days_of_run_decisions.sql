{# From a run to the days of its decisions. #}
{% macro days_of_run_decisions(decisions) -%}
    select decisions.decided_date
    from changes
    inner join {{ decisions }} as decisions
        on
            decisions.run_id = keys ->> 'run_id'
            and decisions.source_system = keys ->> 'source_system'
{%- endmacro %}
