{# Lets the readers of the marts into their schema; the tables' own grants are in dbt_project.yml. #}
{% macro open_marts(built_schemas) %}
    {% if execute and flags.WHICH in ("run", "build") %}
        {% set marts = generate_schema_name("marts", none) %}
        {% if marts in built_schemas %}
            {# Two runs that grant at once would fail on each other. #}
            {% do run_query("begin") %}
            {% do run_query("select pg_advisory_xact_lock(hashtextextended('open " ~ marts ~ "', 0))") %}
            {% set is_open = run_query(
                "select has_schema_privilege('bi_reader', '" ~ marts ~ "', 'usage')"
            ).columns[0].values()[0] %}
            {% if not is_open %}
                {% do run_query("grant usage on schema " ~ marts ~ " to bi_reader") %}
            {% endif %}
            {% do run_query("commit") %}
        {% endif %}
    {% endif %}
{% endmacro %}
