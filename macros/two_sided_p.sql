{# Chance that a standard normal variable is at least as far from 0 as z, relative error below 2e-7: numeric
   has no erfc, and PostgreSQL 15 none at all. Chebyshev fit of Numerical Recipes, 6.2. #}
{% macro two_sided_p(z) -%}
    {%- set x = "least(abs(" ~ z ~ "), 30) / sqrt(2.0)" -%}
    {%- set t = "(1 / (1 + " ~ x ~ " / 2))" -%}
    {%- set terms = [
        "1.00002368", "0.37409196", "0.09678418", "-0.18628806", "0.27886807",
        "-1.13520398", "1.48851587", "-0.82215223", "0.17087277",
    ] -%}
    {%- set fit = namespace(sql="0") -%}
    {%- for term in terms | reverse -%}
        {%- set fit.sql = t ~ " * (" ~ term ~ " + " ~ fit.sql ~ ")" -%}
    {%- endfor -%}
    case
        when {{ z }} is not null
            then least(1, round({{ t }} * exp(-(({{ x }}) ^ 2) - 1.26551223 + {{ fit.sql }}), 30))
    end
{%- endmacro %}
