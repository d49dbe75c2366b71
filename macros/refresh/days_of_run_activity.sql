{# From a run to the days on which it used something, and the one it started on. #}
{% macro days_of_run_activity(activities) -%}
    select activities.activity_date
    from changes
    inner join {{ activities }} as activities
        on
            activities.run_id = keys ->> 'run_id'
            and activities.source_system = keys ->> 'source_system'
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
