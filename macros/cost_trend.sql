{# Where the cost of a run goes: more than a tenth up or down from one period to the next, or neither. #}
{% macro cost_trend(recent, previous) -%}
    case
        when {{ recent }} is null or {{ previous }} is null then 'insufficient_data'
        when {{ recent }} > 1.1 * {{ previous }} then 'increasing'
        when {{ recent }} < 0.9 * {{ previous }} then 'decreasing'
        else 'stable'
    end
{%- endmacro %}
