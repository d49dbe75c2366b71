{# Lets the readers of marts and seeds into the schemas; the tables' own grants are in their configurations. #}
{% macro open_schemas(built_schemas) %}
    {% if execute and flags.WHICH in ("run", "build", "seed") %}
        {% for schema, reader in {"marts": "bi_reader", "seeds": "agentbooks_retention"}.items() %}
            {% set opened = generate_schema_name(schema, none) %}
            {% if opened in built_schemas %}
                {# Two runs that grant at once would fail on each other. #}
                {% do run_query("begin") %}
                {% do run_query("select pg_advisory_xact_lock(hashtextextended('open " ~ opened ~ "', 0))") %}
                {% set is_open = run_query(
                    "select has_schema_privilege('" ~ reader ~ "', '" ~ opened ~ "', 'usage')"
                ).columns[0].values()[0] %}
                {% if not is_open %}
                    {% do run_query("grant usage on schema " ~ opened ~ " to " ~ reader) %}
                {% endif %}
                {% do run_query("commit") %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
