{# Gives an existing table the columns that its model has now, in place; returns whether any differed. #}
{% macro reshape_table(table, model_sql) %}
    {% set wanted = {} %}
    {% for column in get_column_schema_from_query(model_sql) %}
        {% do wanted.update({column.name: column.data_type}) %}
    {% endfor %}
    {% set found = {} %}
    {% for column in get_column_schema_from_query("select * from " ~ table) %}
        {% do found.update({column.name: column.data_type}) %}
    {% endfor %}
    {% set steps = [] %}
    {% for name, data_type in found.items() if wanted.get(name) != data_type %}
        {% do steps.append("drop column " ~ adapter.quote(name)) %}
    {% endfor %}
    {% for name, data_type in wanted.items() if found.get(name) != data_type %}
        {% do steps.append("add column " ~ adapter.quote(name) ~ " " ~ data_type) %}
    {% endfor %}
    {% if steps %}
        {% do run_query("delete from " ~ table) %}
        {% do run_query("alter table " ~ table ~ " " ~ steps | join(", ")) %}
        {% do run_query("delete from ops.refreshes where target = '" ~ table.schema ~ "." ~ table.identifier ~ "'") %}
    {% endif %}
    {{ return(steps | length > 0) }}
{% endmacro %}
