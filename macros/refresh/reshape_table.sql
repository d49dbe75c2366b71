{# Gives an existing table the columns that its model has now, in place; returns whether any differed. #}
{% macro reshape_table(table, model_sql) %}
    {# Not dbt's get_column_schema_from_query, which calls a bigint LONGINTEGER. #}
    {% do run_query("drop table if exists pg_temp.wanted_columns") %}
    {% do run_query(refreshed_table_ddl("pg_temp.wanted_columns", model_sql)) %}
    {% set shapes = [] %}
    {% for relation in ("pg_temp.wanted_columns", table) %}
        {% set columns = {} %}
        {% for row in run_query(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = '" ~ relation
            ~ "'::regclass and attnum > 0 and not attisdropped order by attnum"
        ).rows %}
            {% do columns.update({row[0]: row[1]}) %}
        {% endfor %}
        {% do shapes.append(columns) %}
    {% endfor %}
    {% set wanted, found = shapes %}
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
