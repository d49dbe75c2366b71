{# Makes the empty table of a refreshed model: by its contract where it has one, else as its SQL says. #}
{% macro refreshed_table_ddl(table, model_sql) %}
    {% if config.get("contract").enforced %}
        {{ get_assert_columns_equivalent(model_sql) }}
        create table {{ table }} {{ get_table_columns_and_constraints() }}
    {% else %}
        create table {{ table }} as select * from ({{ model_sql }}) as m limit 0
    {% endif %}
{% endmacro %}
