{# The columns of a contract as an empty query. dbt's own macro warns about every numeric without a
   precision; here that is the rule for money and rates, so it would only teach people to skip warnings. #}
{% macro postgres__get_empty_schema_sql(columns) %}
    {%- set untyped = columns.values() | rejectattr("data_type") | map(attribute="name") | list -%}
    {%- if untyped -%}
        {{ exceptions.column_type_missing(column_names=untyped) }}
    {%- endif -%}
    select
    {% for column in columns.values() -%}
        {{ cast("null", column.data_type) }} as
        {{- " " ~ (adapter.quote(column.name) if column.quote else column.name) }}{{ "," if not loop.last }}
    {% endfor %}
{% endmacro %}
