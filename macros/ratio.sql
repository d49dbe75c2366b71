{# A quotient to 12 digits, whatever digits its parts were written with: a refresh that finds the same values leaves
   a row as it is. Null where there is nothing to divide by. #}
{% macro ratio(numerator, denominator) -%}
    round(({{ numerator }}) / nullif({{ denominator }}, 0), 12)
{%- endmacro %}
