{# Gives an existing table the columns that its model has now, in place; returns whether any differed. #}
{% macro reshape_table(table, model_sql) %}
    {# Compared in the catalog, as dbt's get_column_schema_from_query calls a bigint LONGINTEGER. #}
    {% set wanted_table = api.Relation.create(schema="pg_temp", identifier="wanted_columns") %}
    {% do run_query("drop table if exists " ~ wanted_table) %}
    {% do run_query(refreshed_table_ddl(wanted_table, model_sql)) %}
    {% set shapes = [] %}
    {% for relation in (wanted_table, table) %}
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
        {% do run_query(
            "update ops.refreshes set relation = 0 where target = '" ~ table.schema ~ "." ~ table.identifier ~ "'"
        ) %}
    {% endif %}
    {{ return(steps | length > 0) }}
{% endmacro %}
