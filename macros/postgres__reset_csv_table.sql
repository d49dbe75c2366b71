{# A column that a seed has gained is added: the table that dbt would make anew takes all views on it along. #}
{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {% if not full_refresh %}
        {% set there = adapter.get_columns_in_relation(old_relation) | map(attribute="name") | list %}
        {% set types = model["config"].get("column_types", {}) %}
        {% for column in agate_table.column_names if column not in there %}
            {% set type = types.get(column, adapter.convert_type(agate_table, agate_table.column_names.index(column))) %}
            {% do run_query("alter table " ~ old_relation ~ " add column " ~ adapter.quote(column) ~ " " ~ type) %}
        {% endfor %}
    {% endif %}
    {% do return(default__reset_csv_table(model, full_refresh, old_relation, agate_table)) %}
{% endmacro %}
