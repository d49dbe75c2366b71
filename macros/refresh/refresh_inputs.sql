{# Names of all that a model is computed from: through views down to raw tables, seeds and other tables. The
   views are among them, because a changed view changes what stands on it. #}
{% macro refresh_inputs(unique_ids) %}
    {% set names = [] %}
    {% for unique_id in unique_ids %}
        {% set node = graph.sources.get(unique_id) or graph.nodes[unique_id] %}
        {% do names.append(
            node.source_name ~ "." ~ node.name if unique_id in graph.sources else node.schema ~ "." ~ node.alias
        ) %}
        {% if node.resource_type == "model" and node.config.materialized == "view" %}
            {% do names.extend(refresh_inputs(node.depends_on.nodes)) %}
        {% endif %}
    {% endfor %}
    {{ return(names | unique | list) }}
{% endmacro %}
