{# Bound of Wilson's 95 % interval of a success rate, 0-1; null without trials.
   `side` is low or high. Numeric throughout, so that a rebuild gives the same digits. #}
{% macro wilson_bound(successes, trials, side) -%}
    {%- set z = "1.959964" -%}
    {%- set n = "(" ~ trials ~ ")::numeric" -%}
    {%- set rate = "(" ~ successes ~ ") / nullif(" ~ n ~ ", 0)" -%}
    {%- set sign = {"low": "-", "high": "+"}[side] -%}
    {%- set clamp = {"low": "greatest(0", "high": "least(1"}[side] -%}
    case
        when {{ trials }} > 0
            then {{ clamp }}, round(
                (
                    {{ rate }} + {{ z }} * {{ z }} / (2 * {{ n }})
                    {{ sign }} {{ z }} * sqrt(
                        ({{ rate }} * (1 - {{ rate }}) + {{ z }} * {{ z }} / (4 * {{ n }})) / {{ n }}
                    )
                ) / (1 + {{ z }} * {{ z }} / {{ n }}),
                12
            ))
    end
{%- endmacro %}
