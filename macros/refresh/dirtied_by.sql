{# How a change of an input leads to what is dirty, where that is not the changed row's own day (or the
   key that a model publishes): a query over `changes` (keys jsonb) that returns days or keys. The inputs are
   names of raw tables or refs. #}
{% macro dirtied_by(inputs, query) -%}
    /* dirtied by {% for input in inputs %}
        {%- if input is string %}{{ input }}{% else %}{{ input.schema }}.{{ input.identifier }}{% endif %} {% endfor %}: {{ query }} */
{%- endmacro %}
