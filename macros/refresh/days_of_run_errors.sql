{# From a run to the day it started on, and those of the errors in it. #}
{% macro days_of_run_errors(errors) -%}
    select errors.occurred_date
    from changes
    inner join {{ errors }} as errors
        on
            errors.run_id = keys ->> 'run_id'
            and errors.source_system = keys ->> 'source_system'
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
