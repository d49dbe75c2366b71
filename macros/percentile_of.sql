{# Percentile of an array by nearest rank; nulls are left out. Windows have no percentiles of their own. #}
{% macro percentile_of(fraction, numbers) -%}
    (
        select percentile_disc({{ fraction }}) within group (order by number)
        from unnest({{ numbers }}) as numbers (number)
    )
{%- endmacro %}
