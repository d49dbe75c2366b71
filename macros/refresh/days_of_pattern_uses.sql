{# From a run to the days on which it used a pattern. #}
{% macro days_of_pattern_uses(pattern_uses) -%}
    select pattern_uses.used_date
    from changes
    inner join {{ pattern_uses }} as pattern_uses
        on
            pattern_uses.run_id = keys ->> 'run_id'
            and pattern_uses.source_system = keys ->> 'source_system'
{%- endmacro %}
