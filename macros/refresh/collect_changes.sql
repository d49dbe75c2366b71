{# Before anything is built: what raw tables and seeds have become since the last run, and which day it is. #}
{% macro collect_changes() %}
    {% if execute and flags.WHICH in ("run", "build") %}
        {% set statements = [
            "select ops.collect_changes()",
            "select ops.advance_as_of((now() at time zone 'UTC')::date)",
            "select ops.note_content('ops.as_of')",
            "select ops.note_content('ops.budgets')",
            "select ops.note_content('ops.pseudonym_salt')",
        ] %}
        {% for node in graph.nodes.values() if node.resource_type == "seed" %}
            {% do statements.append(
                "select case when to_regclass('" ~ node.schema ~ "." ~ node.alias
                ~ "') is not null then ops.note_content(to_regclass('" ~ node.schema ~ "." ~ node.alias ~ "')) end"
            ) %}
        {% endfor %}
        {% do run_query("begin") %}
        {% for statement in statements %}
            {% do run_query(statement) %}
        {% endfor %}
        {% do run_query("commit") %}
    {% endif %}
{% endmacro %}
