{# Before anything is built: what raw tables and seeds have become since the last run, and which day it is. #}
{% macro collect_changes() %}
    {% if execute and flags.WHICH in ("run", "build") %}
        {% set seeds = [] %}
        {% for node in graph.nodes.values() if node.resource_type == "seed" %}
            {% do seeds.append("to_regclass('" ~ node.schema ~ "." ~ node.alias ~ "')") %}
        {% endfor %}
        {% do run_query("begin") %}
        {% do run_query("select ops.start_run(array_remove(array[" ~ seeds | join(", ") ~ "], null))") %}
        {% do run_query("commit") %}
    {% endif %}
{% endmacro %}
