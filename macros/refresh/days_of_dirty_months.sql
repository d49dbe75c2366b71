{# The CTE days of a model by month: the days that a relation by day has in the dirty months. #}
{% macro days_of_dirty_months(daily, date_column, month_column) -%}
    days as (
        select
            *,
            date_trunc('month', {{ date_column }}::timestamp)::date as {{ month_column }}
        from {{ daily }}
        where {{ date_column }} is not null and {{ in_dirty_months(date_column) }}
    )
{%- endmacro %}
