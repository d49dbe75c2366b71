{# Whether a query begins with the columns of a view, so that PostgreSQL can replace the view in place. #}
{% macro has_columns_of(view, sql) %}
    {% set found = [] %}
    {% for column in get_column_schema_from_query("select * from " ~ view) %}
        {% do found.append((column.name, column.data_type)) %}
    {% endfor %}
    {% set wanted = [] %}
    {% for column in get_column_schema_from_query(sql) %}
        {% do wanted.append((column.name, column.data_type)) %}
    {% endfor %}
    {{ return(wanted[: found | length] == found) }}
{% endmacro %}
