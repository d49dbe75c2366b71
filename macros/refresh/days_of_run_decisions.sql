{# From a run to the day it started on, and those of its decisions and critical failures. #}
{% macro days_of_run_decisions(decisions, critical_failures) -%}
    select decisions.decided_date
    from changes
    inner join {{ decisions }} as decisions
        on
            decisions.run_id = keys ->> 'run_id'
            and decisions.source_system = keys ->> 'source_system'
    union all
    select critical_failures.acted_date
    from changes
    inner join {{ critical_failures }} as critical_failures
        on
            critical_failures.run_id = keys ->> 'run_id'
            and critical_failures.source_system = keys ->> 'source_system'
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
