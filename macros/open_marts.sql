{# Lets the readers of the marts into their schema; the tables' own grants are in dbt_project.yml. #}
{% macro open_marts(built_schemas) %}
    {% if execute and flags.WHICH in ("run", "build") %}
        {% set marts = generate_schema_name("marts", none) %}
        {% if marts in built_schemas %}
            {% do run_query("grant usage on schema " ~ marts ~ " to bi_reader") %}
        {% endif %}
    {% endif %}
{% endmacro %}
